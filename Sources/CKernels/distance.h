#ifndef CK_DISTANCE_PRIVATE_H
#define CK_DISTANCE_PRIVATE_H
#include "ckernels.h"

// One table per instruction set; each lives in its own file.
extern const ck_distance ck_distance_scalar;
#if defined(__x86_64__)
extern const ck_distance ck_distance_avx2;
extern const ck_distance ck_distance_avx512;
#elif defined(__aarch64__)
extern const ck_distance ck_distance_neon;
#endif

#ifndef CK_INLINE
#define CK_INLINE static inline __attribute__((always_inline))
#endif

#endif
