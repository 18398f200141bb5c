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
    ROW_THREAD(tw * N * C)                                                  \
    int c = id % C, n = id / C % N, j = id / C / N, i = blockIdx.y;         \
    index_t step = (index_t)th * tw * N * C;                                \
    index_t first = t * 36 * step + (index_t)i * tw * N * C + id;

// points = B' d B of the windows of x
extern "C" __global__ void input_transform(const R *x, R *points, int H, int W, int N, int C, int th, int tw) {
    TILE_INDICES
    R v[36];
    for (int a = 0; a < 6; ++a)
        for (int b = 0; b < 6; ++b) v[6 * a + b] = x[PIXEL(wrapped(4 * i - 1 + a, H), wrapped(4 * j - 1 + b, W))];
    for (int a = 0; a < 6; ++a) window_transform(v + 6 * a, 1);
    for (int b = 0; b < 6; ++b) window_transform(v + b, 6);
    for (int p = 0; p < 36; ++p) points[first + p * step] = v[p];
}

// y = A' m A of the points
extern "C" __global__ void output_transform(const R *points, R *y, int H, int W, int N, int C, int th, int tw) {
    TILE_INDICES
    R v[36];
    for (int p = 0; p < 36; ++p) v[p] = points[first + p * step];
    for (int a = 0; a < 6; ++a) tile_transform(v + 6 * a, 1);
    for (int b = 0; b < 4; ++b) tile_transform(v + b, 6);
    for (int a = 0; a < 4 && 4 * i + a < H; ++a)
        for (int b = 0; b < 4 && 4 * j + b < W; ++b) y[PIXEL(4 * i + a, 4 * j + b)] = v[6 * a + b];
}

// points = A (s y) A', with zeros for y beyond the image; without a slope s is 1
extern "C" __global__ void output_adjoint(const R *y, const unsigned char *slope, R *points, int H, int W, int N, int C,
                                          int th, int tw) {
    TILE_INDICES
    R v[36];
    for (int a = 0; a < 4; ++a)
        for (int b = 0; b < 4; ++b) {
            bool inside = 4 * i + a < H && 4 * j + b < W;
            index_t pixel = PIXEL(4 * i + a, 4 * j + b);
            v[6 * a + b] = inside ? y[pixel] : R(0);
            if (slope && inside) v[6 * a + b] *= slope[pixel];
        }
    for (int a = 0; a < 4; ++a) tile_adjoint(v + 6 * a, 1);
    for (int b = 0; b < 6; ++b) tile_adjoint(v + b, 6);
    for (int p = 0; p < 36; ++p) points[first + p * step] = v[p];
}

// the matrix of window_adjoint
__device__ const R WINDOW[6][6] = {{1, 0, 0, 0, 0, 0},   {0, -4, 4, -2, 2, 4},  {R(-1.25), -4, -4, -1, -1, 0},
                              {0, 1, -1, 2, -2, -5}, {R(0.25), 1, 1, 1, 1, 0}, {0, 0, 0, 0, 0, 1}};

// A window beside that of a tile, along one axis, the line of it that reaches into the tile, and the tile's line there
struct Beside {
    int window, line, to;
};

// what the window before gives to a tile's first line: its last one; behind the image's end stand the first lines once
// more, of which those after the first get nothing, since no output of the image depends on them
__device__ inline Beside before(int i, int tiles, int size) {
    return i ? Beside{i - 1, 5, 0} : Beside{tiles - 1, 5 - (4 * tiles - size), 0};
}

// what the window behind gives to a tile's last line: its first one
__device__ inline Beside behind(int i, int tiles, int size) {
    return i < tiles - 1 ? Beside{i + 1, 0, 3} : Beside{0, 0, size - 1 - 4 * i};
}

#define POINT(p, q, row, column) points[first + (6 * (p) + (q)) * step + ((index_t)((row) - i) * tw + (column) - j) * N * C]

// x = the sums over all windows that hold a pixel of B v B', what the window gives to its pixels
extern "C" __global__ void input_adjoint(const R *points, R *x, int H, int W, int N, int C, int th, int tw) {
    TILE_INDICES
    R v[36];
    for (int p = 0; p < 36; ++p) v[p] = points[first + p * step];
    for (int a = 0; a < 6; ++a) window_adjoint(v + 6 * a, 1);
    for (int b = 1; b < 5; ++b) window_adjoint(v + b, 6);
    Beside rows[2] = {before(i, th, H), behind(i, th, H)}, columns[2] = {before(j, tw, W), behind(j, tw, W)};
#pragma unroll
    for (int k = 0; k < 2; ++k) {
        R across[6] = {}, down[6] = {};
#pragma unroll 1
        for (int p = 0; p < 6; ++p) {
            R in_row = WINDOW[rows[k].line][p], in_column = WINDOW[columns[k].line][p];
            if (in_row != 0)
                for (int q = 0; q < 6; ++q) across[q] += in_row * POINT(p, q, rows[k].window, j);
            if (in_column != 0)
                for (int q = 0; q < 6; ++q) down[q] += in_column * POINT(q, p, i, columns[k].window);
        }
        window_adjoint(across, 1);
        window_adjoint(down, 1);
        for (int a = 0; a < 4; ++a)
            for (int b = 0; b < 4; ++b) {
                if (a == rows[k].to) v[6 * a + b + 7] += across[b + 1];
                if (b == columns[k].to) v[6 * a + b + 7] += down[a + 1];
            }
#pragma unroll
        for (int l = 0; l < 2; ++l) {
            R corner = 0;
#pragma unroll 1
            for (int p = 0; p < 6; ++p)
#pragma unroll 1
                for (int q = 0; q < 6; ++q) {
                    R factor = WINDOW[rows[k].line][p] * WINDOW[columns[l].line][q];
                    if (factor != 0) corner += factor * POINT(p, q, rows[k].window, columns[l].window);
                }
            for (int a = 0; a < 4; ++a)
                for (int b = 0; b < 4; ++b)
                    if (a == rows[k].to && b == columns[l].to) v[6 * a + b + 7] += corner;
        }
    }
    for (int a = 0; a < 4 && 4 * i + a < H; ++a)
        for (int b = 0; b < 4 && 4 * j + b < W; ++b) x[PIXEL(4 * i + a, 4 * j + b)] = v[6 * a + b + 7];
}
