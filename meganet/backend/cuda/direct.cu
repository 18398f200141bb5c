// Convolutions as they are defined, one thread per result.

// The direct sum: one thread per output pixel, example and channel o. kernel is (T, k1, k2, I, O).
extern "C" __global__ void direct_forward(const R *x, const R *kernel, R *y, int T, int H, int W, int N, int I, int O, int k1,
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
extern "C" __global__ void direct_gradient(const R *x, const R *y, R *part, int T, int H, int W, int N, int I, int O, int k1,
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
extern "C" __global__ void depthwise_forward(const R *x, const R *kernel, R *y, int T, int H, int W, int N, int C, int k1, int k2,
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
extern "C" __global__ void depthwise_gradient(const R *x, const R *y, R *part, int T, int H, int W, int N, int C, int k1, int k2) {
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
