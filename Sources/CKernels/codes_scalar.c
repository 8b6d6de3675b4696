// The twin that the others are tested against, and the fallback of a machine without SIMD.
#include "codes.h"

static void gather(const uint8_t *base, size_t stride, const ck_code_query *query, const uint32_t *ids, size_t n,
                   float *out) {
    for (size_t i = 0; i < n; i++) {
        const uint8_t *row = base + ids[i] * stride;
        int32_t dot = 0;
        for (size_t j = 0; j < stride; j++) dot += row[j] * query->codes[j];
        out[i] = ck_codes_score(dot, query, row, stride);
    }
}

#define CODES_TABLE ck_codes_scalar
#include "codes_body.h"
