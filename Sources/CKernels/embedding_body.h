// The embedding kernels, written once over the vector type of algebra_ISA.c, which defines EMBEDDINGS_TABLE and
// vf_load_half, vf_sqrt besides and includes this after algebra_body.h.

enum { GATHER_AHEAD = 24 };

static void gather(const void *table, int half, size_t width, const uint32_t *ids, size_t m, size_t fields,
                   float *out, size_t stride) {
    size_t bytes = width * (half ? sizeof(uint16_t) : sizeof(float)), count = m * fields, i = 0;
    for (size_t r = 0; r < m; r++) {
        float *to = out + r * stride;
        for (size_t f = 0; f < fields; f++, i++, to += width) {
            if (i + GATHER_AHEAD < count) {
                const char *next = (const char *)table + ids[i + GATHER_AHEAD] * bytes;
                for (size_t line = 0; line < bytes; line += 64) __builtin_prefetch(next + line, 0, 3);
            }
            const char *row = (const char *)table + ids[i] * bytes;
            size_t d = 0;
            if (half) {
                const uint16_t *from = (const uint16_t *)row;
                for (; d + W <= width; d += W) vf_store(to + d, vf_load_half(from + d));
                for (; d < width; d++) to[d] = ck_half_to_float(from[d]);
            } else {
                const float *from = (const float *)row;
                for (; d + W <= width; d += W) vf_store(to + d, vf_load(from + d));
                for (; d < width; d++) to[d] = from[d];
            }
        }
    }
}

static void add_gathered(const void *table, int half, size_t width, const uint32_t *ids, size_t m, const float *start,
                         int relu, float *out, size_t stride) {
    size_t bytes = width * (half ? sizeof(uint16_t) : sizeof(float));
    for (size_t r = 0; r < m; r++) {
        if (r + 2 < m) {
            const char *next = (const char *)table + ids[r + 2] * bytes;
            for (size_t line = 0; line < bytes; line += 64) __builtin_prefetch(next + line, 0, 3);
        }
        const uint16_t *halves = (const uint16_t *)table + (half ? ids[r] * width : 0);
        const float *floats = (const float *)table + (half ? 0 : ids[r] * width);
        float *to = out + r * stride;
        size_t d = 0;
        for (; d + W <= width; d += W) {
            vf sum = vf_load(start + d) + (half ? vf_load_half(halves + d) : vf_load(floats + d));
            vf_store(to + d, relu ? vf_max(sum, vf_set(0)) : sum);
        }
        for (; d < width; d++) {
            float sum = start[d] + (half ? ck_half_to_float(halves[d]) : floats[d]);
            to[d] = relu && !(sum > 0) ? 0 : sum;
        }
    }
}

static void pairs(const float *rows, size_t stride, size_t m, size_t fields, size_t width, float *out) {
    for (size_t r = 0; r < m; r++) {
        const float *row = rows + r * stride;
        vf whole = vf_set(0);
        float total = 0;
        size_t d = 0;
        for (; d + W <= width; d += W) {
            vf sum = vf_set(0), squares = vf_set(0);
            for (size_t f = 0; f < fields; f++) {
                vf x = vf_load(row + f * width + d);
                sum = sum + x;
                squares = vf_fma(x, x, squares);
            }
            whole = whole + (sum * sum - squares);
        }
        for (; d < width; d++) {
            float sum = 0, squares = 0;
            for (size_t f = 0; f < fields; f++) {
                float x = row[f * width + d];
                sum += x;
                squares += x * x;
            }
            total += sum * sum - squares;
        }
        out[r] += 0.5f * (total + vf_sum(whole));
    }
}

static void pair_gradients(const float *rows, size_t stride, size_t m, size_t fields, size_t width, const float *g,
                           float *gradients, size_t gradient_stride) {
    for (size_t r = 0; r < m; r++) {
        const float *row = rows + r * stride;
        float *out = gradients + r * gradient_stride;
        size_t d = 0;
        for (; d + W <= width; d += W) {
            vf sum = vf_set(0), scale = vf_set(g[r]);
            for (size_t f = 0; f < fields; f++) sum = sum + vf_load(row + f * width + d);
            for (size_t f = 0; f < fields; f++) {
                float *to = out + f * width + d;
                vf_store(to, vf_fma(scale, sum - vf_load(row + f * width + d), vf_load(to)));
            }
        }
        for (; d < width; d++) {
            float sum = 0;
            for (size_t f = 0; f < fields; f++) sum += row[f * width + d];
            for (size_t f = 0; f < fields; f++) out[f * width + d] += g[r] * (sum - row[f * width + d]);
        }
    }
}

static void adam(float *weights, const float *gradients, float *m1, float *m2, size_t count, const ck_adam_step *step) {
    size_t i = 0;
    vf b1 = vf_set(step->beta1), b2 = vf_set(step->beta2), n1 = vf_set(1 - step->beta1), n2 = vf_set(1 - step->beta2);
    vf rate = vf_set(step->rate), keep = vf_set(1 - step->shrink), epsilon = vf_set(step->epsilon);
    for (; i + W <= count; i += W) {
        vf g = vf_load(gradients + i);
        vf first = vf_fma(b1, vf_load(m1 + i), n1 * g), second = vf_fma(b2, vf_load(m2 + i), n2 * (g * g));
        vf_store(m1 + i, first);
        vf_store(m2 + i, second);
        vf_store(weights + i, vf_load(weights + i) * keep - rate * first / (vf_sqrt(second) + epsilon));
    }
    for (; i < count; i++) {
        float g = gradients[i];
        m1[i] = step->beta1 * m1[i] + (1 - step->beta1) * g;
        m2[i] = step->beta2 * m2[i] + (1 - step->beta2) * (g * g);
        weights[i] = weights[i] * (1 - step->shrink) - step->rate * m1[i] / (sqrtf(m2[i]) + step->epsilon);
    }
}

const ck_embeddings EMBEDDINGS_TABLE = {gather, add_gathered, pairs, pair_gradients, adam};
