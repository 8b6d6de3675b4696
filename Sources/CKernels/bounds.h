#ifndef CK_BOUNDS_PRIVATE_H
#define CK_BOUNDS_PRIVATE_H
#include "ckernels.h"

// One table per instruction set; each lives in its own file.
extern const ck_bounds ck_bounds_scalar;
#if defined(__x86_64__)
extern const ck_bounds ck_bounds_avx2;
extern const ck_bounds ck_bounds_avx512;
#elif defined(__aarch64__)
extern const ck_bounds ck_bounds_neon;
#endif

#ifndef CK_INLINE
#define CK_INLINE static inline __attribute__((always_inline))
#endif

/// Bytes of a block with `groups` groups of four dimensions.
CK_INLINE size_t ck_block_bytes(size_t groups, int nibbles) { return 64 + 64 * (nibbles ? groups / 2 : groups); }

#endif
