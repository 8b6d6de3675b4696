#ifndef CK_CODES_PRIVATE_H
#define CK_CODES_PRIVATE_H
#include "ckernels.h"
#include <math.h>
#include <string.h>

// One table per instruction set; each lives in its own file.
extern const ck_codes ck_codes_scalar;
#if defined(__x86_64__)
extern const ck_codes ck_codes_avx2;
extern const ck_codes ck_codes_avx512;
#elif defined(__aarch64__)
extern const ck_codes ck_codes_neon;
#endif

#ifndef CK_INLINE
#define CK_INLINE static inline __attribute__((always_inline))
#endif

/// Bytes of a row that is asked for ahead; the processor follows on its own where more are read.
enum { CK_CODES_AHEAD = 1024 };

CK_INLINE void ck_prefetch_codes(const uint8_t *row, size_t stride) {
    for (size_t line = 0; line < stride && line < CK_CODES_AHEAD; line += 64) __builtin_prefetch(row + line, 0, 3);
}

/// The score that goes with the dot product of all bytes. Rounded twice on every machine, never fused.
CK_INLINE float ck_codes_score(int32_t dot, const ck_code_query *query, const uint8_t *row, size_t stride) {
#pragma clang fp contract(off)
    float header[2];
    memcpy(header, row + stride - 8, 8);
    return (float)(dot + query->bias) * (query->scale * header[0]) + header[1];
}

#endif
