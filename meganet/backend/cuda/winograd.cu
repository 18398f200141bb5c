// The transforms of Winograd's F(4x4, 3x3), one thread per result. Tiles, windows and matrices are those of
// linop/_engines/tiles.py; th, tw count the tiles.

// B' d and B v, A' m and A y along one axis, with a stride between the numbers
__device__ inline void window_transform(R *v, int s) {
    R a = v[0], b = v[s], c = v[2 * s], d = v[3 * s], e = v[4 * s], f = v[5 * s];
    v[0] = a - R(1.25) * c + R(0.25) * e;
    v[s] = d + e - 4 * (b + c);
    v[2 * s] = 4 * (b - c) - d + e;
    v[3 * s] = 2 * (d - b) + e - c;
    v[4 * s] = 2 * (b - d) + e - c;
    v[5 * s] = 4 * b - 5 * d + f;
}

__device__ inline void window_adjoint(R *v, int s) {
    R a = v[0], b = v[s], c = v[2 * s], d = v[3 * s], e = v[4 * s], f = v[5 * s];
    v[s] = 4 * (c - b) + 2 * (e - d) + 4 * f;
    v[2 * s] = -R(1.25) * a - 4 * (b + c) - (d + e);
    v[3 * s] = (b - c) + 2 * (d - e) - 5 * f;
    v[4 * s] = R(0.25) * a + b + c + d + e;
}

__device__ inline void tile_transform(R *v, int s) {
    R b = v[s], c = v[2 * s], d = v[3 * s], e = v[4 * s];
    v[0] += b + c + d + e;
    v[s] = (b - c) + 2 * (d - e);
    v[2 * s] = (b + c) + 4 * (d + e);
    v[3 * s] = (b - c) + 8 * (d - e) + v[5 * s];
}

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

// points = B' d B of the windows of x
extern "C" __global__ void input_transform(const R *x, R *points, int T, int H, int W, int N, int C, int th, int tw) {
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
extern "C" __global__ void output_transform(const R *points, R *y, int T, int H, int W, int N, int C, int th, int tw) {
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
extern "C" __global__ void output_adjoint(const R *y, R *points, int T, int H, int W, int N, int C, int th, int tw) {
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
extern "C" __global__ void input_adjoint(R *points, int T, int N, int C, int th, int tw) {
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
extern "C" __global__ void window_sum(const R *points, R *x, int T, int H, int W, int N, int C, int th, int tw) {
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
