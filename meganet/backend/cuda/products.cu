// Products of many matrices, by blocks of threads that share what they read.
//
// C = op(A) op(B): op(A) is (M, K), op(B) is (K, N), C is (M, N), all in C order; op transposes where the flag says so.
// Matrix number t * inner + p begins at t * outer_a + p * inner_a, so a stride 0 uses one for all. With a `depth` C is
// the sum of so many products, of matrices `step_a` and `step_b` apart.
//
// A block computes BM x BN entries, each thread TM x TN of them, from strips of A and B that it brings to shared memory,
// DEPTH columns and rows at a time: while one pair is worked on, the next is on its way. What is summed may be cut into
// `parts`, one for each blockIdx.y, so that a few small results of long sums occupy a device too; C is then (..., parts,
// M, N), and `sum_parts` adds up.

#define DEPTH (4 * WIDTH)

// What a thread brings of a strip: `rows` rows of `length` numbers that are summed over, ROWS of them in this block
template <int ROWS, int THREADS>
struct Strip {
    static constexpr int VECTORS = ROWS * DEPTH / WIDTH / THREADS;
    static constexpr int PITCH = ROWS + WIDTH;
    const R *numbers;
    int row, k, rows, length;
    bool along, aligned;  // the summed numbers lie in a row; all rows begin at a whole vector
    Vector kept[VECTORS];

    __device__ Strip(const R *numbers, int first, int rows, int length, bool along)
        : numbers(numbers), rows(rows), length(length), along(along) {
        int vector = threadIdx.x;
        row = first + (along ? vector / (DEPTH / WIDTH) : vector % (ROWS / WIDTH) * WIDTH);
        k = along ? vector % (DEPTH / WIDTH) * WIDTH : vector / (ROWS / WIDTH);
        aligned = (size_t)numbers % sizeof(Vector) == 0 && (along ? length : rows) % WIDTH == 0;
    }

    __device__ void fetch(int k0) {
#pragma unroll
        for (int v = 0; v < VECTORS; ++v) {
            int r = row + (along ? v * (THREADS / (DEPTH / WIDTH)) : 0);
            int l = k0 + k + (along ? 0 : v * (THREADS / (ROWS / WIDTH)));
            const R *from = numbers + (along ? (index_t)r * length + l : (index_t)l * rows + r);
            int left = r < rows && l < length ? (along ? length - l : rows - r) : 0;
            if (aligned && left) {
                kept[v] = *(const Vector *)from;
            } else {
#pragma unroll
                for (int i = 0; i < WIDTH; ++i) kept[v].at[i] = i < left ? from[i] : R(0);
            }
        }
    }

    __device__ void put(R (*strip)[PITCH], int first) const {
#pragma unroll
        for (int v = 0; v < VECTORS; ++v) {
            int r = row - first + (along ? v * (THREADS / (DEPTH / WIDTH)) : 0);
            int l = k + (along ? 0 : v * (THREADS / (ROWS / WIDTH)));
            if (along) {
#pragma unroll
                for (int i = 0; i < WIDTH; ++i) strip[l + i][r] = kept[v].at[i];
            } else {
                *(Vector *)&strip[l][r] = kept[v];
            }
        }
    }
};

template <int BM, int BN, int TM, int TN>
__device__ inline void product(const R *A, const R *B, R *C, int M, int N, int K, int transpose_a, int transpose_b,
                               index_t outer_a, index_t inner_a, index_t outer_b, index_t inner_b, int inner,
                               int tiles_m, int tiles_n, int depth, index_t step_a, index_t step_b, int parts) {
    constexpr int ACROSS = BN / TN, THREADS = BM / TM * ACROSS;
    __shared__ __align__(16) R a[2][DEPTH][BM + WIDTH], b[2][DEPTH][BN + WIDTH];
    int tile = blockIdx.x % (tiles_m * tiles_n), matrix = blockIdx.x / (tiles_m * tiles_n);
    int m0 = tile / tiles_n * BM, n0 = tile % tiles_n * BN;
    int chunks = (K + DEPTH - 1) / DEPTH;
    int chunk = (index_t)depth * chunks * blockIdx.y / parts;
    int left = (index_t)depth * chunks * (blockIdx.y + 1) / parts - chunk;
    int k0 = chunk % chunks * DEPTH;
    A += matrix / inner * outer_a + matrix % inner * inner_a + chunk / chunks * step_a;
    B += matrix / inner * outer_b + matrix % inner * inner_b + chunk / chunks * step_b;
    Strip<BM, THREADS> from_a(A, m0, M, K, !transpose_a);
    Strip<BN, THREADS> from_b(B, n0, N, K, transpose_b);
    R sum[TM][TN] = {};
    int row = threadIdx.x / ACROSS * WIDTH, column = threadIdx.x % ACROSS * WIDTH;
    from_a.fetch(k0);
    from_b.fetch(k0);
    from_a.put(a[0], m0);
    from_b.put(b[0], n0);
    __syncthreads();
    for (int now = 0; left; now ^= 1) {
        if (--left) {
            if ((k0 += DEPTH) >= K) k0 = 0, from_a.numbers += step_a, from_b.numbers += step_b;
            from_a.fetch(k0);
            from_b.fetch(k0);
        }
#pragma unroll
        for (int k = 0; k < DEPTH; ++k) {
            Vector x[TM / WIDTH], y[TN / WIDTH];
#pragma unroll
            for (int g = 0; g < TM / WIDTH; ++g) x[g] = *(const Vector *)&a[now][k][row + g * (BM / TM * WIDTH)];
#pragma unroll
            for (int g = 0; g < TN / WIDTH; ++g) y[g] = *(const Vector *)&b[now][k][column + g * (BN / TN * WIDTH)];
#pragma unroll
            for (int i = 0; i < TM; ++i)
#pragma unroll
                for (int j = 0; j < TN; ++j) sum[i][j] += x[i / WIDTH].at[i % WIDTH] * y[j / WIDTH].at[j % WIDTH];
        }
        if (left) {
            from_a.put(a[now ^ 1], m0);
            from_b.put(b[now ^ 1], n0);
        }
        __syncthreads();
    }
    C += ((index_t)matrix * parts + blockIdx.y) * M * N;
    bool aligned = (size_t)C % sizeof(Vector) == 0 && N % WIDTH == 0;
#pragma unroll
    for (int i = 0; i < TM; ++i) {
        int m = m0 + row + i / WIDTH * (BM / TM * WIDTH) + i % WIDTH;
#pragma unroll
        for (int g = 0; g < TN / WIDTH; ++g) {
            int n = n0 + column + g * (BN / TN * WIDTH);
            if (m >= M || n >= N) continue;
            R *to = C + (index_t)m * N + n;
            Vector entries;
#pragma unroll
            for (int j = 0; j < WIDTH; ++j) entries.at[j] = sum[i][g * WIDTH + j];
            if (aligned) {
                *(Vector *)to = entries;
            } else {
#pragma unroll
                for (int j = 0; j < WIDTH; ++j)
                    if (n + j < N) to[j] = entries.at[j];
            }
        }
    }
}

#define PRODUCT(name, BM, BN, TM, TN)                                                                                 \
    extern "C" __global__ void __launch_bounds__(BM / (TM) * (BN / (TN))) name(                                       \
        const R *A, const R *B, R *C, int M, int N, int K, int transpose_a, int transpose_b, index_t outer_a,         \
        index_t inner_a, index_t outer_b, index_t inner_b, int inner, int tiles_m, int tiles_n, int depth,            \
        index_t step_a, index_t step_b, int parts) {                                                                  \
        product<BM, BN, (TM), (TN)>(A, B, C, M, N, K, transpose_a, transpose_b, outer_a, inner_a, outer_b, inner_b,   \
                                    inner, tiles_m, tiles_n, depth, step_a, step_b, parts);                           \
    }

// 32 / sizeof(R) is 8 floats or 4 doubles: these take twice the registers
PRODUCT(product_128x64, 128, 64, 8, 32 / sizeof(R))
PRODUCT(product_128x32, 128, 32, 8, 32 / sizeof(R))
PRODUCT(product_64x32, 64, 32, 32 / sizeof(R), 4)
PRODUCT(product_32x16, 32, 16, 4, 16 / sizeof(R))

// sums over the parts of (..., parts, size): total (..., size), one thread per number
extern "C" __global__ void sum_parts(const R *part, R *total, index_t count, int parts, index_t size) {
    THREAD(count)
    part += id / size * parts * size + id % size;
    R sum = 0;
    for (int p = 0; p < parts; ++p) sum += part[p * size];
    total[id] = sum;
}
