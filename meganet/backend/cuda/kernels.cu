// Kernels for what CuPy's parts do slowly, or cannot do while a CUDA graph is recorded. Every kernel but `product` runs
// one thread per result and shares nothing between threads. All sums have a fixed order, so each result is the same
// whatever the launch, and a stack of trials is only more threads.
//
// Images are (T, H, W, N, C) memory: T trials, N examples; threads next to each other work on channels next to each
// other. Tiles, windows and matrices are those of linop/_engines/tiles.py; th, tw count the tiles.

typedef long long index_t;

#define THREAD(count)                                                       \
    index_t id = (index_t)blockIdx.x * blockDim.x + threadIdx.x;            \
    if (id >= (count)) return;

// B' d and B v, A' m and A y along one axis, with a stride between the numbers
template <class R>
__device__ inline void window_transform(R *v, int s) {
    R a = v[0], b = v[s], c = v[2 * s], d = v[3 * s], e = v[4 * s], f = v[5 * s];
    v[0] = a - R(1.25) * c + R(0.25) * e;
    v[s] = d + e - 4 * (b + c);
    v[2 * s] = 4 * (b - c) - d + e;
    v[3 * s] = 2 * (d - b) + e - c;
    v[4 * s] = 2 * (b - d) + e - c;
    v[5 * s] = 4 * b - 5 * d + f;
}

template <class R>
__device__ inline void window_adjoint(R *v, int s) {
    R a = v[0], b = v[s], c = v[2 * s], d = v[3 * s], e = v[4 * s], f = v[5 * s];
    v[s] = 4 * (c - b) + 2 * (e - d) + 4 * f;
    v[2 * s] = -R(1.25) * a - 4 * (b + c) - (d + e);
    v[3 * s] = (b - c) + 2 * (d - e) - 5 * f;
    v[4 * s] = R(0.25) * a + b + c + d + e;
}

template <class R>
__device__ inline void tile_transform(R *v, int s) {
    R b = v[s], c = v[2 * s], d = v[3 * s], e = v[4 * s];
    v[0] += b + c + d + e;
    v[s] = (b - c) + 2 * (d - e);
    v[2 * s] = (b + c) + 4 * (d + e);
    v[3 * s] = (b - c) + 8 * (d - e) + v[5 * s];
}

template <class R>
__device__ inline void tile_adjoint(R *v, int s) {
    R a = v[0], b = v[s], c = v[2 * s], d = v[3 * s];
    v[s] = a + b + c + d;
    v[2 * s] = a - b + c - d;
    v[3 * s] = a + 2 * b + 4 * c + 8 * d;
    v[4 * s] = a - 2 * b + 4 * c - 8 * d;
    v[5 * s] = d;
}

// One thread handles one tile, example and channel. `points` is (T, 36, tiles * N, C).
#define TILE_INDICES                                                        \
    int c = id % C;                                                         \
    int n = id / C % N;                                                     \
    int j = id / ((index_t)C * N) % tw;                                     \
    int i = id / ((index_t)C * N * tw) % th;                                \
    index_t t = id / ((index_t)C * N * tw * th);                            \
    index_t step = (index_t)th * tw * N * C;                                \
    index_t first = t * 36 * step + id % step;

#define PIXEL(row, column) ((((t * H + (row)) * W + (column)) * N + n) * C + c)

// points = B' d B of the windows of x
template <class R>
__device__ void input_transform(const R *x, R *points, int T, int H, int W, int N, int C, int th, int tw) {
    THREAD((index_t)T * th * tw * N * C)
    TILE_INDICES
    R v[36];
    for (int a = 0; a < 6; ++a)
        for (int b = 0; b < 6; ++b)
            v[6 * a + b] = x[PIXEL((4 * i - 1 + a + H) % H, (4 * j - 1 + b + W) % W)];
    for (int a = 0; a < 6; ++a) window_transform(v + 6 * a, 1);
    for (int b = 0; b < 6; ++b) window_transform(v + b, 6);
    for (int p = 0; p < 36; ++p) points[first + p * step] = v[p];
}

// y = A' m A of the points
template <class R>
__device__ void output_transform(const R *points, R *y, int T, int H, int W, int N, int C, int th, int tw) {
    THREAD((index_t)T * th * tw * N * C)
    TILE_INDICES
    R v[36];
    for (int p = 0; p < 36; ++p) v[p] = points[first + p * step];
    for (int a = 0; a < 6; ++a) tile_transform(v + 6 * a, 1);
    for (int b = 0; b < 4; ++b) tile_transform(v + b, 6);
    for (int a = 0; a < 4 && 4 * i + a < H; ++a)
        for (int b = 0; b < 4 && 4 * j + b < W; ++b) y[PIXEL(4 * i + a, 4 * j + b)] = v[6 * a + b];
}

// points = A y A', with zeros for y beyond the image
template <class R>
__device__ void output_adjoint(const R *y, R *points, int T, int H, int W, int N, int C, int th, int tw) {
    THREAD((index_t)T * th * tw * N * C)
    TILE_INDICES
    R v[36];
    for (int a = 0; a < 4; ++a)
        for (int b = 0; b < 4; ++b)
            v[6 * a + b] = 4 * i + a < H && 4 * j + b < W ? y[PIXEL(4 * i + a, 4 * j + b)] : R(0);
    for (int a = 0; a < 4; ++a) tile_adjoint(v + 6 * a, 1);
    for (int b = 0; b < 6; ++b) tile_adjoint(v + b, 6);
    for (int p = 0; p < 36; ++p) points[first + p * step] = v[p];
}

// points = B v B', in place: what each window gives to its pixels
template <class R>
__device__ void input_adjoint(R *points, int T, int N, int C, int th, int tw) {
    THREAD((index_t)T * th * tw * N * C)
    index_t step = (index_t)th * tw * N * C;
    index_t first = id / step * 36 * step + id % step;
    R v[36];
    for (int p = 0; p < 36; ++p) v[p] = points[first + p * step];
    for (int a = 0; a < 6; ++a) window_adjoint(v + 6 * a, 1);
    for (int b = 0; b < 6; ++b) window_adjoint(v + b, 6);
    for (int p = 0; p < 36; ++p) points[first + p * step] = v[p];
}

// x = sum over the windows that hold a pixel, one thread per pixel, example and channel.
// Row h stands in the tiles' count of rows as h, h - H and h + H; a window i holds rows 4 i - 1 to 4 i + 4.
template <class R>
__device__ void window_sum(const R *points, R *x, int T, int H, int W, int N, int C, int th, int tw) {
    THREAD((index_t)T * H * W * N * C)
    int c = id % C;
    int n = id / C % N;
    int w = id / ((index_t)C * N) % W;
    int h = id / ((index_t)C * N * W) % H;
    index_t t = id / ((index_t)C * N * W * H);
    index_t step = (index_t)th * tw * N * C;
    R sum = 0;
    for (int row = h - H; row <= 4 * th; row += H)
        for (int i = row < 4 ? 0 : (row - 1) / 4; i < th && 4 * i - 1 <= row; ++i) {
            int a = row - 4 * i + 1;
            if (a > 5) continue;
            for (int column = w - W; column <= 4 * tw; column += W)
                for (int j = column < 4 ? 0 : (column - 1) / 4; j < tw && 4 * j - 1 <= column; ++j) {
                    int b = column - 4 * j + 1;
                    if (b > 5) continue;
                    sum += points[(t * 36 + 6 * a + b) * step + ((index_t)(i * tw + j) * N + n) * C + c];
                }
        }
    x[id] = sum;
}

// C = op(A) op(B) for many matrices: op(A) is (M, K), op(B) is (K, N), C is (M, N), all in C order; op transposes where the
// flag says so. Matrix number t * inner + p begins at t * outer_a + p * inner_a, so a stride 0 uses one for all. A block
// of 256 threads computes 64x64 entries of C, 4x4 a thread, from strips of A and B that it brings to shared memory, 16
// columns at a time.
template <class R>
__device__ void product(const R *A, const R *B, R *C, int M, int N, int K, int transpose_a, int transpose_b,
                        index_t outer_a, index_t inner_a, index_t outer_b, index_t inner_b, int inner, int tiles_m,
                        int tiles_n) {
    __shared__ R a[16][64 + 1], b[16][64 + 1];
    int thread = threadIdx.x, row = thread / 16 * 4, column = thread % 16 * 4;
    int tile = blockIdx.x % (tiles_m * tiles_n);
    index_t matrix = blockIdx.x / (tiles_m * tiles_n);
    int m0 = tile / tiles_n * 64, n0 = tile % tiles_n * 64;
    A += matrix / inner * outer_a + matrix % inner * inner_a;
    B += matrix / inner * outer_b + matrix % inner * inner_b;
    R sum[4][4] = {};
    for (int k0 = 0; k0 < K; k0 += 16) {
        // neighbours read neighbours: along K where the matrix lies so, else along its rows or columns
        for (int e = thread; e < 16 * 64; e += 256) {
            int ka = transpose_a ? e / 64 : e % 16, m = transpose_a ? e % 64 : e / 16;
            int kb = transpose_b ? e % 16 : e / 64, n = transpose_b ? e / 16 : e % 64;
            bool in_a = m0 + m < M && k0 + ka < K, in_b = n0 + n < N && k0 + kb < K;
            a[ka][m] = in_a ? A[transpose_a ? (index_t)(k0 + ka) * M + m0 + m : (index_t)(m0 + m) * K + k0 + ka] : R(0);
            b[kb][n] = in_b ? B[transpose_b ? (index_t)(n0 + n) * K + k0 + kb : (index_t)(k0 + kb) * N + n0 + n] : R(0);
        }
        __syncthreads();
        for (int k = 0; k < 16; ++k) {
            R x[4], y[4];
            for (int i = 0; i < 4; ++i) x[i] = a[k][row + i], y[i] = b[k][column + i];
            for (int i = 0; i < 4; ++i)
                for (int j = 0; j < 4; ++j) sum[i][j] += x[i] * y[j];
        }
        __syncthreads();
    }
    C += matrix * M * N;
    for (int i = 0; i < 4 && m0 + row + i < M; ++i)
        for (int j = 0; j < 4 && n0 + column + j < N; ++j) C[(index_t)(m0 + row + i) * N + n0 + column + j] = sum[i][j];
}

// The direct sum: one thread per output pixel, example and channel o. kernel is (T, k1, k2, I, O).
template <class R>
__device__ void direct_forward(const R *x, const R *kernel, R *y, int T, int H, int W, int N, int I, int O, int k1,
                               int k2) {
    THREAD((index_t)T * H * W * N * O)
    int o = id % O;
    int n = id / O % N;
    int w = id / ((index_t)O * N) % W;
    int h = id / ((index_t)O * N * W) % H;
    index_t t = id / ((index_t)O * N * W * H);
    const R *k = kernel + t * k1 * k2 * I * O + o;
    R sum = 0;
    for (int a = 0; a < k1; ++a)
        for (int b = 0; b < k2; ++b) {
            int row = (h + a - k1 / 2 + H) % H, column = (w + b - k2 / 2 + W) % W;
            const R *pixel = x + (((t * H + row) * W + column) * N + n) * I;
            for (int c = 0; c < I; ++c) sum += pixel[c] * k[((index_t)(a * k2 + b) * I + c) * O];
        }
    y[id] = sum;
}

// What some image rows, `rows` of them, add to the kernel gradient, (T, strips, k1, k2, I, O): one thread per entry; the
// strips are summed after.
template <class R>
__device__ void direct_gradient(const R *x, const R *y, R *part, int T, int H, int W, int N, int I, int O, int k1,
                                int k2, int rows, int strips) {
    THREAD((index_t)T * strips * k1 * k2 * I * O)
    int o = id % O;
    int c = id / O % I;
    int b = id / ((index_t)O * I) % k2;
    int a = id / ((index_t)O * I * k2) % k1;
    int strip = id / ((index_t)O * I * k2 * k1) % strips;
    index_t t = id / ((index_t)O * I * k2 * k1 * strips);
    R sum = 0;
    for (int h = strip * rows; h < (strip + 1) * rows && h < H; ++h) {
        int row = (h + a - k1 / 2 + H) % H;
        for (int w = 0; w < W; ++w) {
            int column = (w + b - k2 / 2 + W) % W;
            const R *pixels = x + ((t * H + row) * W + column) * N * I + c;
            const R *outputs = y + ((t * H + h) * W + w) * N * O + o;
            for (int n = 0; n < N; ++n) sum += pixels[(index_t)n * I] * outputs[(index_t)n * O];
        }
    }
    part[id] = sum;
}

// Every channel with a stencil of its own, kernel (T, k1, k2, C); sign -1 is the adjoint.
template <class R>
__device__ void depthwise_forward(const R *x, const R *kernel, R *y, int T, int H, int W, int N, int C, int k1, int k2,
                                  int sign) {
    THREAD((index_t)T * H * W * N * C)
    int c = id % C;
    int n = id / C % N;
    int w = id / ((index_t)C * N) % W;
    int h = id / ((index_t)C * N * W) % H;
    index_t t = id / ((index_t)C * N * W * H);
    R sum = 0;
    for (int a = 0; a < k1; ++a)
        for (int b = 0; b < k2; ++b) {
            int row = (h + sign * (a - k1 / 2) + H) % H, column = (w + sign * (b - k2 / 2) + W) % W;
            sum += x[PIXEL(row, column)] * kernel[((t * k1 + a) * k2 + b) * C + c];
        }
    y[id] = sum;
}

// What one image row adds to the gradient of these stencils, (T, H, k1, k2, C)
template <class R>
__device__ void depthwise_gradient(const R *x, const R *y, R *part, int T, int H, int W, int N, int C, int k1, int k2) {
    THREAD((index_t)T * H * k1 * k2 * C)
    int c = id % C;
    int b = id / C % k2;
    int a = id / ((index_t)C * k2) % k1;
    int h = id / ((index_t)C * k2 * k1) % H;
    index_t t = id / ((index_t)C * k2 * k1 * H);
    int row = (h + a - k1 / 2 + H) % H;
    R sum = 0;
    for (int w = 0; w < W; ++w) {
        int column = (w + b - k2 / 2 + W) % W;
        for (int n = 0; n < N; ++n) sum += x[PIXEL(row, column)] * y[PIXEL(h, w)];
    }
    part[id] = sum;
}

// y = A x for vectors x (T, N, n) and a sparse matrix with m rows: row i has the columns and values number starts[i] to
// starts[i + 1]. The values of trial t begin at t * stride. One thread per number of the result (T, N, m).
template <class R>
__device__ void csr_product(const R *values, const int *columns, const index_t *starts, const R *x, R *y, index_t count,
                            int N, int m, int n, index_t stride) {
    THREAD(count)
    index_t i = id % m, example = id / m;
    const R *v = values + example / N * stride, *numbers = x + example * n;
    R sum = 0;
    for (index_t p = starts[i]; p < starts[i + 1]; ++p) sum += v[p] * numbers[columns[p]];
    y[id] = sum;
}

// The gradient of <y, A x> in the values: part[t, p] = sum over n of y[t, n, rows[p]] x[t, n, columns[p]].
template <class R>
__device__ void csr_gradient(const int *rows, const int *columns, const R *x, const R *y, R *part, index_t count,
                             index_t nonzeros, int N, int m, int n) {
    THREAD(count)
    index_t p = id % nonzeros, t = id / nonzeros;
    R sum = 0;
    for (index_t k = t * N; k < (t + 1) * N; ++k) sum += y[k * m + rows[p]] * x[k * n + columns[p]];
    part[id] = sum;
}

// y = max(z, 0) over z and its derivative, 1 at 0
template <class R>
__device__ void relu(R *z, unsigned char *slope, index_t count) {
    THREAD(count)
    R value = z[id];
    slope[id] = value >= 0;
    z[id] = value > 0 || value != value ? value : R(0);
}

// mean over f1 x f2 blocks, one thread per result; and its adjoint
template <class R>
__device__ void pool(const R *x, R *y, index_t T, int H, int W, int NC, int f1, int f2) {
    int h2 = H / f1, w2 = W / f2;
    THREAD(T * h2 * w2 * NC)
    index_t nc = id % NC, j = id / NC % w2, i = id / NC / w2 % h2, t = id / NC / w2 / h2;
    R sum = 0;
    for (int a = 0; a < f1; ++a)
        for (int b = 0; b < f2; ++b) sum += x[((t * H + i * f1 + a) * W + j * f2 + b) * NC + nc];
    y[id] = sum * (R(1) / (f1 * f2));
}

template <class R>
__device__ void pool_adjoint(const R *y, R *x, index_t T, int H, int W, int NC, int f1, int f2) {
    THREAD(T * H * W * NC)
    index_t nc = id % NC, j = id / NC % W, i = id / NC / W % H, t = id / NC / W / H;
    x[id] = y[((t * (H / f1) + i / f1) * (W / f2) + j / f2) * NC + nc] * (R(1) / (f1 * f2));
}

// loss of each example, (count,), and its gradient in the logits (count, K) divided by `examples`
template <class R>
__device__ void softmax(const R *logits, const index_t *labels, R *loss, R *gradient, index_t count, int K,
                        int examples) {
    THREAD(count)
    const R *z = logits + id * K;
    R *g = gradient + id * K;
    R largest = z[0], sum = 0;
    for (int k = 1; k < K; ++k) largest = z[k] > largest || z[k] != z[k] ? z[k] : largest;
    for (int k = 0; k < K; ++k) sum += g[k] = exp(z[k] - largest);
    for (int k = 0; k < K; ++k) g[k] = (g[k] / sum - (k == labels[id])) / examples;
    loss[id] = log(sum) - (z[labels[id]] - largest);
}

// d = rate g + momentum d, x = x - d; without momentum d is neither read nor written
template <class R>
__device__ void momentum_step(const R *x, const R *g, const R *d, R *x_next, R *d_next, double rate, double momentum,
                              index_t count) {
    THREAD(count)
    R move = R(rate) * g[id];
    if (momentum != 0) d_next[id] = move += R(momentum) * d[id];
    x_next[id] = x[id] - move;
}

#define INSTANCES(R, suffix)                                                                                          \
    extern "C" __global__ void input_transform_##suffix(const R *x, R *p, int T, int H, int W, int N, int C, int th,  \
                                                        int tw) { input_transform(x, p, T, H, W, N, C, th, tw); }     \
    extern "C" __global__ void output_transform_##suffix(const R *p, R *y, int T, int H, int W, int N, int C, int th, \
                                                         int tw) { output_transform(p, y, T, H, W, N, C, th, tw); }   \
    extern "C" __global__ void output_adjoint_##suffix(const R *y, R *p, int T, int H, int W, int N, int C, int th,   \
                                                       int tw) { output_adjoint(y, p, T, H, W, N, C, th, tw); }       \
    extern "C" __global__ void input_adjoint_##suffix(R *p, int T, int N, int C, int th, int tw) {                    \
        input_adjoint(p, T, N, C, th, tw); }                                                                          \
    extern "C" __global__ void window_sum_##suffix(const R *p, R *x, int T, int H, int W, int N, int C, int th,       \
                                                   int tw) { window_sum(p, x, T, H, W, N, C, th, tw); }               \
    extern "C" __global__ void product_##suffix(const R *A, const R *B, R *C, int M, int N, int K, int ta, int tb,    \
                                                index_t oa, index_t ia, index_t ob, index_t ib, int inner, int tm,    \
                                                int tn) {                                                             \
        product(A, B, C, M, N, K, ta, tb, oa, ia, ob, ib, inner, tm, tn); }                                           \
    extern "C" __global__ void direct_forward_##suffix(const R *x, const R *k, R *y, int T, int H, int W, int N,      \
                                                       int I, int O, int k1, int k2) {                                \
        direct_forward(x, k, y, T, H, W, N, I, O, k1, k2); }                                                          \
    extern "C" __global__ void direct_gradient_##suffix(const R *x, const R *y, R *part, int T, int H, int W, int N,  \
                                                        int I, int O, int k1, int k2, int rows, int strips) {         \
        direct_gradient(x, y, part, T, H, W, N, I, O, k1, k2, rows, strips); }                                        \
    extern "C" __global__ void depthwise_forward_##suffix(const R *x, const R *k, R *y, int T, int H, int W, int N,   \
                                                          int C, int k1, int k2, int sign) {                          \
        depthwise_forward(x, k, y, T, H, W, N, C, k1, k2, sign); }                                                    \
    extern "C" __global__ void depthwise_gradient_##suffix(const R *x, const R *y, R *part, int T, int H, int W,      \
                                                           int N, int C, int k1, int k2) {                            \
        depthwise_gradient(x, y, part, T, H, W, N, C, k1, k2); }                                                      \
    extern "C" __global__ void csr_product_##suffix(const R *v, const int *columns, const index_t *starts,            \
                                                    const R *x, R *y, index_t count, int N, int m, int n,             \
                                                    index_t stride) {                                                 \
        csr_product(v, columns, starts, x, y, count, N, m, n, stride); }                                              \
    extern "C" __global__ void csr_gradient_##suffix(const int *rows, const int *columns, const R *x, const R *y,     \
                                                     R *part, index_t count, index_t nonzeros, int N, int m, int n) { \
        csr_gradient(rows, columns, x, y, part, count, nonzeros, N, m, n); }                                          \
    extern "C" __global__ void relu_##suffix(R *z, unsigned char *slope, index_t count) { relu(z, slope, count); }    \
    extern "C" __global__ void pool_##suffix(const R *x, R *y, index_t T, int H, int W, int NC, int f1, int f2) {     \
        pool(x, y, T, H, W, NC, f1, f2); }                                                                            \
    extern "C" __global__ void pool_adjoint_##suffix(const R *y, R *x, index_t T, int H, int W, int NC, int f1,       \
                                                     int f2) { pool_adjoint(y, x, T, H, W, NC, f1, f2); }             \
    extern "C" __global__ void softmax_##suffix(const R *z, const index_t *labels, R *loss, R *g, index_t count,      \
                                                int K, int examples) {                                                \
        softmax(z, labels, loss, g, count, K, examples); }                                                            \
    extern "C" __global__ void momentum_step_##suffix(const R *x, const R *g, const R *d, R *x_next, R *d_next,       \
                                                      double rate, double momentum, index_t count) {                  \
        momentum_step(x, g, d, x_next, d_next, rate, momentum, count); }

INSTANCES(float, float32)
INSTANCES(double, float64)
