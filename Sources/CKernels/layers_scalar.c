// The twin that every machine can run: layers in bfloat16 and bytes, one value at a time. And how weights are packed.
#include "layers.h"

static void bf16(const uint16_t *a, size_t lda, size_t m, size_t steps, const uint16_t *packed, size_t panels,
                 const float *bias, int relu, void *out, size_t ldout, int narrow) {
    for (size_t r = 0; r < m; r++)
        for (size_t j = 0; j < panels * CK_PANEL; j++) {
            const uint16_t *w = packed + j / CK_PANEL * steps * 2 * CK_PANEL + j % CK_PANEL * 2;
            float sum = bias[j];
            for (size_t t = 0; t < steps; t++)
                for (size_t i = 0; i < 2; i++)
                    sum += ck_from_bf16(a[r * lda + t * 2 + i]) * ck_from_bf16(w[t * 2 * CK_PANEL + i]);
            if (relu && !(sum > 0)) sum = 0;
            if (narrow)
                ((uint16_t *)out)[r * ldout + j] = ck_to_bf16(sum);
            else
                ((float *)out)[r * ldout + j] = sum;
        }
}

static void u8(const ck_byte_rows *a, size_t m, size_t steps, const ck_byte_weights *weights, size_t panels,
               const float *bias, int relu, float *out, size_t ldout) {
    for (size_t r = 0; r < m; r++)
        for (size_t j = 0; j < panels * CK_PANEL; j++) {
            const uint8_t *x = a->bytes + r * a->stride;
            const int8_t *w = weights->packed + j / CK_PANEL * steps * 4 * CK_PANEL + j % CK_PANEL * 4;
            int32_t sum = -a->zero * weights->sums[j];
            for (size_t t = 0; t < steps; t++)
                for (size_t i = 0; i < 4; i++) sum += x[t * 4 + i] * w[t * 4 * CK_PANEL + i];
            float value = fmaf((float)sum, a->scales[r] * weights->scales[j], bias[j]);
            out[r * ldout + j] = relu && !(value > 0) ? 0 : value;
        }
}

static void narrow(const float *values, size_t count, uint16_t *out) {
    for (size_t i = 0; i < count; i++) out[i] = ck_to_bf16(values[i]);
}

static void to_bytes(const float *rows, size_t stride, size_t m, size_t count, int is_signed, uint8_t *out,
                     size_t out_stride, float *scales) {
    for (size_t r = 0; r < m; r++) {
        float largest = 0;
        for (size_t i = 0; i < count; i++) largest = fmaxf(largest, fabsf(rows[r * stride + i]));
        scales[r] = ck_byte_scale(largest, is_signed);
        float inverse = scales[r] > 0 ? 1 / scales[r] : 0;
        for (size_t i = 0; i < count; i++) {
            int value = (int)rintf(rows[r * stride + i] * inverse) + (is_signed ? 128 : 0);
            out[r * out_stride + i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
        }
    }
}

const ck_layers ck_layers_scalar = {bf16, u8, narrow, to_bytes};

void ck_pack_bf16(const float *rows, size_t stride, size_t n, size_t k, uint16_t *out) {
    size_t steps = (k + 1) / 2, panels = (n + CK_PANEL - 1) / CK_PANEL;
    for (size_t j = 0; j < panels * CK_PANEL; j++)
        for (size_t t = 0; t < steps * 2; t++)
            out[j / CK_PANEL * steps * 2 * CK_PANEL + t / 2 * 2 * CK_PANEL + j % CK_PANEL * 2 + t % 2] =
                j < n && t < k ? ck_to_bf16(rows[j * stride + t]) : 0;
}

void ck_pack_i8(const float *rows, size_t stride, size_t n, size_t k, int8_t *out, float *scales, int32_t *sums) {
    size_t steps = (k + 3) / 4, panels = (n + CK_PANEL - 1) / CK_PANEL;
    for (size_t j = 0; j < panels * CK_PANEL; j++) {
        float largest = 0;
        for (size_t t = 0; j < n && t < k; t++) largest = fmaxf(largest, fabsf(rows[j * stride + t]));
        scales[j] = largest / 127;
        sums[j] = 0;
        for (size_t t = 0; t < steps * 4; t++) {
            int value = j < n && t < k && largest > 0 ? (int)rintf(rows[j * stride + t] / scales[j]) : 0;
            value = value > 127 ? 127 : value < -127 ? -127 : value;
            out[j / CK_PANEL * steps * 4 * CK_PANEL + t / 4 * 4 * CK_PANEL + j % CK_PANEL * 4 + t % 4] = (int8_t)value;
            sums[j] += value;
        }
    }
}
