#include "bounds.h"
#include "codes.h"
#include "distance.h"
#include <stdlib.h>
#include <string.h>

static int detected(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512vnni"))
        return CK_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"))
        return CK_AVX2;
    return CK_SCALAR;
#elif defined(__aarch64__)
    return CK_NEON;
#else
    return CK_SCALAR;
#endif
}

const char *ck_isa_name(int isa) {
    switch (isa) {
    case CK_AVX2: return "avx2";
    case CK_AVX512: return "avx512";
    case CK_NEON: return "neon";
    default: return "scalar";
    }
}

const ck_distance *ck_distance_of(int isa) {
    int best = detected();
    switch (isa) {
    case CK_SCALAR: return &ck_distance_scalar;
#if defined(__x86_64__)
    case CK_AVX2: return best == CK_AVX2 || best == CK_AVX512 ? &ck_distance_avx2 : NULL;
    case CK_AVX512: return best == CK_AVX512 ? &ck_distance_avx512 : NULL;
#elif defined(__aarch64__)
    case CK_NEON: return best == CK_NEON ? &ck_distance_neon : NULL;
#endif
    default: return NULL;
    }
}

const ck_bounds *ck_bounds_of(int isa) {
    if (!ck_distance_of(isa)) return NULL;
    switch (isa) {
#if defined(__x86_64__)
    case CK_AVX2: return &ck_bounds_avx2;
    case CK_AVX512: return &ck_bounds_avx512;
#elif defined(__aarch64__)
    case CK_NEON: return &ck_bounds_neon;
#endif
    default: return &ck_bounds_scalar;
    }
}

const ck_codes *ck_codes_of(int isa) {
    if (!ck_distance_of(isa)) return NULL;
    switch (isa) {
#if defined(__x86_64__)
    case CK_AVX2: return &ck_codes_avx2;
    case CK_AVX512: return &ck_codes_avx512;
#elif defined(__aarch64__)
    case CK_NEON: return &ck_codes_neon;
#endif
    default: return &ck_codes_scalar;
    }
}

static int chosen = CK_SCALAR;
const ck_distance *ck_active_distance = &ck_distance_scalar;
const ck_bounds *ck_active_bounds = &ck_bounds_scalar;
const ck_codes *ck_active_codes = &ck_codes_scalar;

// Runs before main, so that no kernel call pays for a check.
__attribute__((constructor(101))) static void choose(void) {
    chosen = detected();
    const char *wanted = getenv("MARTLET_ISA");
    if (wanted)
        for (int isa = CK_SCALAR; isa <= CK_NEON; isa++)
            if (strcmp(wanted, ck_isa_name(isa)) == 0 && ck_distance_of(isa)) chosen = isa;
    ck_active_distance = ck_distance_of(chosen);
    ck_active_bounds = ck_bounds_of(chosen);
    ck_active_codes = ck_codes_of(chosen);
}

int ck_isa(void) { return chosen; }
