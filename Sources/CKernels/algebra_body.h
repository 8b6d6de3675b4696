// The dense kernels, written once over a vector type. Each algebra_ISA.c defines, then includes this:
//   W             floats in a vector; ALGEBRA_TABLE the table's name
//   TILE_ROWS, TILE_PANELS  rows and panels of a product computed at once (macros: 2 or more; 1 or 5)
//   GRAM_ROWS     the same for products of a matrix with itself; divides CK_PANEL
//   vf, vf_load, vf_store, vf_set, vf_fma, vf_max, vf_sum  the vector type and its operations
//   vf_sums8      the sums of eight vectors
// No include guard: it is a body, not an interface.

enum { PANEL_VECTORS = CK_PANEL / W, ROWS_MAX = TILE_ROWS > GRAM_ROWS ? TILE_ROWS : GRAM_ROWS };

/// c (rows x 16 panels) = start + sum over t < k of a[r * row_step + t * k_step] * b[p * panel_step + t * CK_PANEL ..< + 16].
CKA_INLINE void tile(const float *a, size_t row_step, size_t k_step, const float *b, size_t panel_step, size_t k,
                     const float *start, size_t start_step, float *c, size_t ldc, int rows, int panels, int relu) {
    vf sum[ROWS_MAX][TILE_PANELS * PANEL_VECTORS];
    int vectors = panels * PANEL_VECTORS;
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) sum[r][v] = start ? vf_load(start + r * start_step + v * W) : vf_set(0);
    for (size_t t = 0; t < k; t++) {
        vf right[TILE_PANELS * PANEL_VECTORS];
        for (int v = 0; v < vectors; v++)
            right[v] = vf_load(b + v / PANEL_VECTORS * panel_step + t * CK_PANEL + v % PANEL_VECTORS * W);
        for (int r = 0; r < rows; r++) {
            vf left = vf_set(a[r * row_step + t * k_step]);
            for (int v = 0; v < vectors; v++) sum[r][v] = vf_fma(left, right[v], sum[r][v]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++)
            vf_store(c + r * ldc + v * W, relu ? vf_max(sum[r][v], vf_set(0)) : sum[r][v]);
}

/// All rows of `panels` (constant) neighbouring panels.
CKA_INLINE void tile_columns(const float *a, size_t row_step, size_t k_step, size_t m, size_t k, const float *b,
                             const float *start, size_t start_step, float *c, size_t ldc, int relu, int panels) {
    size_t r = 0;
#define ROWS(n) \
    tile(a + r * row_step, row_step, k_step, b, k * CK_PANEL, k, start ? start + r * start_step : NULL, start_step, \
         c + r * ldc, ldc, n, panels, relu)
    for (; r + TILE_ROWS <= m; r += TILE_ROWS) ROWS(TILE_ROWS);
    switch (m - r) {
#if TILE_ROWS > 5
    case 5: ROWS(5); break;
#endif
#if TILE_ROWS > 4
    case 4: ROWS(4); break;
#endif
#if TILE_ROWS > 3
    case 3: ROWS(3); break;
    case 2: ROWS(2); break;
#endif
    case 1: ROWS(1); break;
    }
#undef ROWS
}

static void product(const float *a, size_t row_step, size_t k_step, size_t m, size_t k, const float *packed,
                    size_t panels, const float *start, size_t start_step, float *c, size_t ldc, int relu) {
    size_t groups = (panels + TILE_PANELS - 1) / TILE_PANELS;
    for (size_t g = 0; g < groups; g++) {
        size_t first = panels * g / groups, count = panels * (g + 1) / groups - first;
        const float *b = packed + first * k * CK_PANEL, *from = start ? start + first * CK_PANEL : NULL;
        float *out = c + first * CK_PANEL;
#define COLUMNS(n) tile_columns(a, row_step, k_step, m, k, b, from, start_step, out, ldc, relu, n)
        switch (count) {
#if TILE_PANELS > 4
        case 5: COLUMNS(5); break;
        case 4: COLUMNS(4); break;
        case 3: COLUMNS(3); break;
        case 2: COLUMNS(2); break;
#endif
        case 1: COLUMNS(1); break;
        }
#undef COLUMNS
    }
}

static void multiply(const float *a, size_t lda, size_t m, size_t k, const float *packed, size_t panels, float *c,
                     size_t ldc, int accumulate) {
    product(a, lda, 1, m, k, packed, panels, accumulate ? c : NULL, ldc, c, ldc, 0);
}

static void gram(const float *a, size_t lda, size_t n, size_t k, float *c, size_t ldc, float *scratch) {
    for (size_t first = 0; first < n; first += CK_GRAM_BLOCK) {
        size_t rows = n - first < CK_GRAM_BLOCK ? n - first : CK_GRAM_BLOCK;
        ck_pack(a + first * lda, lda, rows, k, scratch);
        for (size_t j = 0; j < k; j += CK_PANEL)
            for (size_t i = 0; i < j + CK_PANEL; i += GRAM_ROWS) {
                const float *left = scratch + i / CK_PANEL * CK_PANEL * rows + i % CK_PANEL;
                float *out = c + i * ldc + j;
                tile(left, 1, CK_PANEL, scratch + j * rows, 0, rows, out, ldc, out, ldc, GRAM_ROWS, 1, 0);
            }
    }
}

CKA_INLINE vf dot_vector(const float *a, const float *b, size_t k) {
    vf s0 = vf_set(0), s1 = vf_set(0);
    size_t v = 0;
    for (; v + 2 * W <= k; v += 2 * W) {
        s0 = vf_fma(vf_load(a + v), vf_load(b + v), s0);
        s1 = vf_fma(vf_load(a + v + W), vf_load(b + v + W), s1);
    }
    for (; v < k; v += W) s0 = vf_fma(vf_load(a + v), vf_load(b + v), s0);
    return s0 + s1;
}

CKA_INLINE float dot(const float *a, const float *b, size_t k) { return vf_sum(dot_vector(a, b, k)); }

CKA_INLINE void axpy(float s, const float *x, size_t k, float *y) {
    vf scale = vf_set(s);
    for (size_t v = 0; v < k; v += W) vf_store(y + v, vf_fma(scale, vf_load(x + v), vf_load(y + v)));
}

/// y += sum of scale[r] * row[r] over `n` (at most 8, constant) rows.
CKA_INLINE void add_rows(const float *const *row, const float *scale, int n, size_t k, float *y) {
    for (size_t v = 0; v < k; v += W) {
        vf sum = vf_load(y + v);
        for (int r = 0; r < n; r++) sum = vf_fma(vf_set(scale[r]), vf_load(row[r] + v), sum);
        vf_store(y + v, sum);
    }
}

static void gather_sum(const float *base, size_t stride, size_t k, const uint32_t *ids, const float *values, size_t n,
                       float *y) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const float *row[8];
        for (int r = 0; r < 8; r++) row[r] = base + ids[i + r] * stride;
        add_rows(row, values + i, 8, k, y);
    }
    for (; i < n; i++) axpy(values[i], base + ids[i] * stride, k, y);
}

/// out += sum w (target + sign * y.p) y; returns sum w (target + sign * y.p)^2.
CKA_INLINE double apply(const ck_least_squares *q, size_t start, size_t end, const float *p, float target, float sign,
                        float *out) {
    double loss = 0;
    size_t i = start, k = q->k;
    for (; i + 8 <= end; i += 8) {
        const float *row[8];
        float scale[8];
        vf sum[8];
        for (int r = 0; r < 8; r++) row[r] = q->factors + q->ids[i + r] * q->stride;
        if (i + 16 <= end && target != 0)  // Later passes find the rows in the cache.
            for (int r = 8; r < 16; r++) {
                const float *next = q->factors + q->ids[i + r] * q->stride;
                for (size_t line = 0; line < k; line += 16) __builtin_prefetch(next + line, 0, 3);
            }
        for (int r = 0; r < 8; r++) sum[r] = vf_set(0);
        for (size_t v = 0; v < k; v += W) {
            vf x = vf_load(p + v);
            for (int r = 0; r < 8; r++) sum[r] = vf_fma(x, vf_load(row[r] + v), sum[r]);
        }
        vf_sums8(sum, scale);
        for (int r = 0; r < 8; r++) {
            float error = target + sign * scale[r];
            scale[r] = q->weights ? q->weights[i + r] * error : error;
            loss += (double)(scale[r] * error);
        }
        add_rows(row, scale, 8, k, out);
    }
    for (; i < end; i++) {
        const float *row = q->factors + q->ids[i] * q->stride;
        float error = target + sign * dot(row, p, k);
        float scale = q->weights ? q->weights[i] * error : error;
        loss += (double)(scale * error);
        axpy(scale, row, k, out);
    }
    return loss;
}

static double conjugate_gradients(const ck_least_squares *q, const size_t *starts, const float *lambdas, size_t count,
                                  int steps, float *x, size_t ldx, float *scratch) {
    size_t k = q->k, panels = k / CK_PANEL;
    float *residual = scratch, *p = scratch + CK_CG_BATCH * k, *ap = scratch + 2 * CK_CG_BATCH * k;
    float squares[CK_CG_BATCH], floors[CK_CG_BATCH];
    double loss = 0;
    multiply(x, ldx, count, k, q->gram, panels, ap, k, 0);
    for (size_t b = 0; b < count; b++) {
        float *r = residual + b * k;
        float *xb = x + b * ldx, *a = ap + b * k;
        if (starts[b] == starts[b + 1]) {  // Nothing is known of it: exactly zero, in one step.
            memset(xb, 0, k * sizeof(float));
            memset(p + b * k, 0, k * sizeof(float));
            squares[b] = floors[b] = 0;
            continue;
        }
        vf lambda = vf_set(-lambdas[b]);
        for (size_t v = 0; v < k; v += W) vf_store(r + v, vf_fma(lambda, vf_load(xb + v), vf_set(0) - vf_load(a + v)));
        loss += apply(q, starts[b], starts[b + 1], xb, 1, -1, r);
        memcpy(p + b * k, r, k * sizeof(float));
        squares[b] = dot(r, r, k);
        floors[b] = squares[b] * 1e-12f;  // Below this it has converged as far as Float32 goes.
    }
    for (int step = 0; step < steps; step++) {
        multiply(p, k, count, k, q->gram, panels, ap, k, 0);
        for (size_t b = 0; b < count; b++) {
            if (!(squares[b] > floors[b])) continue;
            float *r = residual + b * k, *pb = p + b * k, *a = ap + b * k;
            apply(q, starts[b], starts[b + 1], pb, 0, 1, a);
            axpy(lambdas[b], pb, k, a);
            float curvature = dot(pb, a, k);
            if (!(curvature > 0)) {
                squares[b] = 0;
                continue;
            }
            float length = squares[b] / curvature;
            axpy(length, pb, k, x + b * ldx);
            axpy(-length, a, k, r);
            float next = dot(r, r, k);
            vf turn = vf_set(next / squares[b]);
            for (size_t v = 0; v < k; v += W) vf_store(pb + v, vf_fma(turn, vf_load(pb + v), vf_load(r + v)));
            squares[b] = next;
        }
    }
    return loss;
}

/// The product of the tile's shape of a panel of rows with itself, taken off `out`: see `solve_positive`.
CKA_INLINE void take_off(const float *left, const float *negated, float *out, size_t ldc) {
    tile(left, 1, CK_PANEL, negated, 0, CK_PANEL, out, ldc, out, ldc, GRAM_ROWS, 1, 0);
}

/// Turns the upper triangle of a (k x k, k of whole panels) into u with u^T u = a, a panel of rows at a time: the panel's
/// own rows one by one, then what they take off the rows below in one product. Columns before the diagonal's tile are
/// left as they are, those of the tile undefined.
static int factorize(float *a, size_t k, float *packed) {
    float *negated = packed + CK_PANEL * k;
    for (size_t first = 0; first < k; first += CK_PANEL) {
        for (size_t i = first; i < first + CK_PANEL; i++) {
            float *pivot = a + i * k;
            if (!(pivot[i] > 0) || pivot[i] == INFINITY) return (int)i + 1;
            vf scale = vf_set(1 / sqrtf(pivot[i]));
            for (size_t v = i / W * W; v < k; v += W) vf_store(pivot + v, vf_load(pivot + v) * scale);
            for (size_t j = i + 1; j < first + CK_PANEL; j++) {
                size_t from = j / W * W;
                axpy(-pivot[j], pivot + from, k - from, a + j * k + from);
            }
        }
        size_t next = first + CK_PANEL, left = k - next;
        if (left == 0) break;
        ck_pack(a + first * k + next, k, CK_PANEL, left, packed);
        for (size_t v = 0; v < CK_PANEL * left; v += W) vf_store(negated + v, vf_set(0) - vf_load(packed + v));
        for (size_t j = 0; j < left; j += CK_PANEL)
            for (size_t i = 0; i < j + CK_PANEL; i += GRAM_ROWS)
                take_off(packed + i / CK_PANEL * CK_PANEL * CK_PANEL + i % CK_PANEL, negated + j * CK_PANEL,
                         a + (next + i) * k + next + j, k);
    }
    return 0;
}

static int solve_positive(float *a, size_t rank, size_t k, float *x, float *scratch) {
    for (size_t i = rank; i < k; i++) {  // A unit matrix below, so that no step has a tail.
        a[i * k + i] = 1;
        x[i] = 0;
    }
    int fault = factorize(a, k, scratch);
    if (fault) return fault;
    // u^T z = x, then u x = z from below: what is still to be found counts as zero.
    for (size_t i = 0; i < rank; i++) {
        float z = x[i] / a[i * k + i];
        size_t from = i / W * W;
        axpy(-z, a + i * k + from, k - from, x + from);
        scratch[i] = z;
    }
    memset(x, 0, k * sizeof(float));
    for (size_t i = rank; i-- > 0;) {
        size_t from = i / W * W;
        x[i] = (scratch[i] - dot(a + i * k + from, x + from, k - from)) / a[i * k + i];
    }
    return 0;
}

static int cholesky(const ck_least_squares *q, const float *gram_rows, size_t start, size_t end, float lambda,
                    size_t rank, float *x, float *scratch) {
    size_t k = q->k;
    float *a = scratch, *rows = a + k * k, *panels = rows + CK_GRAM_BLOCK * k, *right = panels + CK_GRAM_BLOCK * k;
    memcpy(a, gram_rows, k * k * sizeof(float));
    memset(right, 0, k * sizeof(float));
    for (size_t i = start; i < end;) {
        size_t n = end - i < CK_GRAM_BLOCK ? end - i : CK_GRAM_BLOCK;
        for (size_t r = 0; r < n; r++, i++) {
            const float *y = q->factors + q->ids[i] * q->stride;
            float weight = q->weights ? q->weights[i] : 1, root = sqrtf(weight);
            for (size_t v = 0; v < k; v += W) vf_store(rows + r * k + v, vf_load(y + v) * vf_set(root));
            axpy(weight, y, k, right);
        }
        gram(rows, k, n, k, a, k, panels);
    }
    for (size_t i = 0; i < rank; i++) a[i * k + i] += lambda;
    int fault = solve_positive(a, rank, k, right, rows);
    if (fault == 0) memcpy(x, right, k * sizeof(float));
    return fault;
}

const ck_algebra ALGEBRA_TABLE = {multiply, gram, gather_sum, conjugate_gradients, cholesky, product, solve_positive};
