#ifndef LAYERS_H
#define LAYERS_H

#include "ckernels.h"
#include "dense_algebra.h"
#include "dense_layers.h"
#include <math.h>
#include <string.h>

extern const ck_layers ck_layers_scalar;
#if defined(__x86_64__)
extern const ck_layers ck_layers_avx512;
#endif

#define CKL_INLINE static inline __attribute__((always_inline))

CKL_INLINE uint16_t ck_to_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

CKL_INLINE float ck_from_bf16(uint16_t value) {
    uint32_t bits = (uint32_t)value << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

/// What bytes are made with: the largest magnitude becomes 255, or 127 either way of 128.
CKL_INLINE float ck_byte_scale(float largest, int is_signed) { return largest / (is_signed ? 127.0f : 255.0f); }

#endif
