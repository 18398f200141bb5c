// Sparse matrices in rows, one thread per result.

// y = A x for vectors x (T, N, n) and a sparse matrix with m rows: row i has the columns and values number starts[i] to
// starts[i + 1]. The values of trial t begin at t * stride. One thread per number of the result (T, N, m).
extern "C" __global__ void csr_product(const R *values, const int *columns, const index_t *starts, const R *x, R *y, index_t count,
                            int N, int m, int n, index_t stride) {
    THREAD(count)
    index_t i = id % m, example = id / m;
    const R *v = values + example / N * stride, *numbers = x + example * n;
    R sum = 0;
    for (index_t p = starts[i]; p < starts[i + 1]; ++p) sum += v[p] * numbers[columns[p]];
    y[id] = sum;
}

// The gradient of <y, A x> in the values: part[t, p] = sum over n of y[t, n, rows[p]] x[t, n, columns[p]].
extern "C" __global__ void csr_gradient(const int *rows, const int *columns, const R *x, const R *y, R *part, index_t count,
                             index_t nonzeros, int N, int m, int n) {
    THREAD(count)
    index_t p = id % nonzeros, t = id / nonzeros;
    R sum = 0;
    for (index_t k = t * N; k < (t + 1) * N; ++k) sum += y[k * m + rows[p]] * x[k * n + columns[p]];
    part[id] = sum;
}
