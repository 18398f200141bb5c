// What all kernels use. Each is compiled for one type of numbers: a line in front of this one says that R is float or
// double. Sums have a fixed order, so each result is the same whatever the launch, and a stack of trials is only more
// threads.

typedef long long index_t;

// numbers that are read and written at once, and how many they are
struct __align__(16) Vector { R at[16 / sizeof(R)]; };
#define WIDTH ((int)(16 / sizeof(R)))

#define THREAD(count)                                                       \
    index_t id = (index_t)blockIdx.x * blockDim.x + threadIdx.x;            \
    if (id >= (count)) return;

// Images are (T, H, W, N, C) memory: T trials, N examples; threads next to each other work on channels next to each
// other. A grid has one row of blocks for each row of pixels or tiles, and one such plane for each trial, so that numbers
// are divided in 32 bits, and few.
#define PIXEL(row, column) ((((t * H + (row)) * W + (column)) * N + n) * C + c)

#define ROW_THREAD(count)                                                   \
    unsigned id = blockIdx.x * blockDim.x + threadIdx.x;                    \
    if (id >= (unsigned)(count)) return;                                    \
    index_t t = blockIdx.z;

// the row or column of a periodic image that is meant by one up to n before or behind it
__device__ inline int wrapped(int k, int n) { return k < 0 ? k + n : k < n ? k : k - n; }
