// Activation, pooling, loss, penalty and the step of SGD, one thread per result.

// y = max(z, 0) over z and its derivative, 1 at 0
extern "C" __global__ void relu(R *z, unsigned char *slope, index_t count) {
    THREAD(count)
    R value = z[id];
    slope[id] = value >= 0;
    z[id] = value > 0 || value != value ? value : R(0);
}

// mean over f1 x f2 blocks, one thread per result; and its adjoint. H, W are those of the large image.
extern "C" __global__ void pool(const R *x, R *y, int H, int W, int NC, int f1, int f2) {
    ROW_THREAD(W / f2 * NC)
    int nc = id % NC, j = id / NC, i = blockIdx.y;
    R sum = 0;
    for (int a = 0; a < f1; ++a)
        for (int b = 0; b < f2; ++b) sum += x[((t * H + i * f1 + a) * W + j * f2 + b) * NC + nc];
    y[(t * (H / f1) + i) * (W / f2) * NC + id] = sum * (R(1) / (f1 * f2));
}

extern "C" __global__ void pool_adjoint(const R *y, R *x, int H, int W, int NC, int f1, int f2) {
    ROW_THREAD(W * NC)
    int nc = id % NC, j = id / NC, i = blockIdx.y;
    x[(t * H + i) * W * NC + id] = y[((t * (H / f1) + i / f1) * (W / f2) + j / f2) * NC + nc] * (R(1) / (f1 * f2));
}

// loss of each example, (count,), and its gradient in the logits (count, K) divided by `examples`
extern "C" __global__ void softmax(const R *logits, const index_t *labels, R *loss, R *gradient, index_t count, int K,
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
extern "C" __global__ void momentum_step(const R *x, const R *g, const R *d, R *x_next, R *d_next, double rate, double momentum,
                              index_t count) {
    THREAD(count)
    R move = R(rate) * g[id];
    if (momentum != 0) d_next[id] = move += R(momentum) * d[id];
    x_next[id] = x[id] - move;
}

// gradient = (f1 D1' D1 + f2 D2' D2) x for images of H x W pixels, `count` numbers for each trial, with the differences D1
// between neighbouring rows and D2 between neighbouring columns; part, (T, threads), is what the numbers of each thread
// add to <x, gradient>. The numbers x of a trial begin `stride` after those of the one before it.
extern "C" __global__ void difference_penalty(const R *x, R *gradient, R *part, int count, int H, int W, double f1,
                                              double f2, index_t stride) {
    index_t t = blockIdx.y;
    unsigned threads = gridDim.x * blockDim.x, thread = blockIdx.x * blockDim.x + threadIdx.x;
    x += t * stride;
    gradient += t * count;
    R sum = 0;
    for (unsigned k = thread; k < (unsigned)count; k += threads) {
        int w = k % W, h = k / W % H;
        R v = x[k], rows = 0, columns = 0;
        if (h > 0) rows += v - x[k - W];
        if (h + 1 < H) rows += v - x[k + W];
        if (w > 0) columns += v - x[k - 1];
        if (w + 1 < W) columns += v - x[k + 1];
        R g = R(f1) * rows + R(f2) * columns;
        gradient[k] = g;
        sum += v * g;
    }
    part[t * threads + thread] = sum;
}
