#ifndef CK_HALF_H
#define CK_HALF_H
// IEEE binary16 in integer arithmetic, for machines and tails without a conversion instruction.
#include "distance.h"
#include <string.h>

CK_INLINE uint32_t ck_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

CK_INLINE float ck_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

CK_INLINE float ck_half_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = (half >> 10) & 31u, mantissa = half & 0x3FFu;
    if (exponent == 31) return ck_float(sign | 0x7F800000u | mantissa << 13 | (mantissa ? 0x400000u : 0));
    if (exponent) return ck_float(sign | (exponent + 112) << 23 | mantissa << 13);
    float tiny = (float)mantissa * 0x1p-24f;  // zero or subnormal
    return sign ? -tiny : tiny;
}

CK_INLINE uint16_t ck_float_to_half(float value) {
    uint32_t bits = ck_bits(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00u | (magnitude >> 13 & 0x3FFu));
    if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7C00u);  // 65520 and above round to infinity
    if (magnitude < 0x38800000u) {                                    // below 2^-14: subnormal half
        float scaled = ck_float(magnitude) + 0.5f;                    // the addition rounds to multiples of 2^-24
        return (uint16_t)(sign | (ck_bits(scaled) - 0x3F000000u));
    }
    uint32_t odd = magnitude >> 13 & 1u;
    return (uint16_t)(sign | (magnitude - 0x38000000u + 0xFFFu + odd) >> 13);
}

#endif
