// Convolutions as they are defined, one thread per result.

// The direct sum: one thread per output pixel, example and channel o. kernel is (T, k1, k2, I, O).
extern "C" __global__ void direct_forward(const R *x, const R *kernel, R *y, int H, int W, int N, int I, int O, int k1,
                                          int k2) {
    ROW_THREAD(W * N * O)
    int o = id % O, n = id / O % N, w = id / O / N, h = blockIdx.y;
    const R *k = kernel + t * k1 * k2 * I * O + o;
    R sum = 0;
    for (int a = 0; a < k1; ++a) {
        const R *row = x + ((t * H + wrapped(h + a - k1 / 2, H)) * W * N + n) * I;
        for (int b = 0; b < k2; ++b) {
            const R *pixel = row + (index_t)wrapped(w + b - k2 / 2, W) * N * I;
            for (int c = 0; c < I; ++c, k += O) sum += pixel[c] * *k;
        }
    }
    y[((t * H + h) * W * N) * O + id] = sum;
}

// What some image rows, `rows` of them, add to the kernel gradient for the outputs' gradient s y, (T, strips, k1, k2, I,
// O): one thread per entry; the strips are summed after. Without a slope s is 1.
extern "C" __global__ void direct_gradient(const R *x, const R *y, const unsigned char *slope, R *part, int H, int W,
                                           int N, int I, int O, int k1, int k2, int rows) {
    ROW_THREAD(k1 * k2 * I * O)
    int o = id % O, c = id / O % I, b = id / O / I % k2, a = id / O / I / k2;
    int strip = blockIdx.y, strips = gridDim.y;
    R sum = 0;
    for (int h = strip * rows; h < (strip + 1) * rows && h < H; ++h) {
        const R *row = x + (t * H + wrapped(h + a - k1 / 2, H)) * W * N * I + c;
        for (int w = 0; w < W; ++w) {
            const R *pixels = row + (index_t)wrapped(w + b - k2 / 2, W) * N * I;
            index_t first = ((t * H + h) * W + w) * N * O + o;
            if (slope)
                for (int n = 0; n < N; ++n)
                    sum += pixels[(index_t)n * I] * (y[first + (index_t)n * O] * slope[first + (index_t)n * O]);
            else
                for (int n = 0; n < N; ++n) sum += pixels[(index_t)n * I] * y[first + (index_t)n * O];
        }
    }
    part[(t * strips + strip) * k1 * k2 * I * O + id] = sum;
}

// Every channel with a stencil of its own, kernel (T, k1, k2, C); sign -1 is the adjoint.
extern "C" __global__ void depthwise_forward(const R *x, const R *kernel, R *y, int H, int W, int N, int C, int k1,
                                             int k2, int sign) {
    ROW_THREAD(W * N * C)
    int c = id % C, n = id / C % N, w = id / C / N, h = blockIdx.y;
    R sum = 0;
    for (int a = 0; a < k1; ++a)
        for (int b = 0; b < k2; ++b)
            sum += x[PIXEL(wrapped(h + sign * (a - k1 / 2), H), wrapped(w + sign * (b - k2 / 2), W))] *
                   kernel[((t * k1 + a) * k2 + b) * C + c];
    y[PIXEL(h, w)] = sum;
}

// What one image row adds to the gradient of these stencils, (T, H, k1, k2, C)
extern "C" __global__ void depthwise_gradient(const R *x, const R *y, R *part, int H, int W, int N, int C, int k1,
                                              int k2) {
    ROW_THREAD(k1 * k2 * C)
    int c = id % C, b = id / C % k2, a = id / C / k2, h = blockIdx.y;
    int row = wrapped(h + a - k1 / 2, H);
    R sum = 0;
    for (int w = 0; w < W; ++w)
        for (int n = 0; n < N; ++n) sum += x[PIXEL(row, wrapped(w + b - k2 / 2, W))] * y[PIXEL(h, w)];
    part[(t * H + h) * k1 * k2 * C + id] = sum;
}
