#include "layers.h"

int ck_has_fast_bf16(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bf16") != 0;
#else
    return 0;
#endif
}

const ck_layers *ck_layers_of(int isa) {
    switch (isa) {
    case CK_SCALAR: return &ck_layers_scalar;
#if defined(__x86_64__)
    case CK_AVX512: return ck_algebra_of(CK_AVX512) ? &ck_layers_avx512 : NULL;
#endif
    default: return NULL;
    }
}
