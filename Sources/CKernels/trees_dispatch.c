#include "trees.h"

const ck_tree_kernels *ck_tree_kernels_of(int isa) {
    if (!ck_distance_of(isa)) return NULL;
    switch (isa) {
#if defined(__x86_64__)
    case CK_AVX2: return &ck_trees_avx2;
    case CK_AVX512: return &ck_trees_avx512;
#elif defined(__aarch64__)
    case CK_NEON: return &ck_trees_neon;
#endif
    default: return &ck_trees_scalar;
    }
}

const ck_tree_kernels *ck_active_trees = &ck_trees_scalar;

// After dispatch.c has chosen, before main.
__attribute__((constructor(102))) static void choose(void) { ck_active_trees = ck_tree_kernels_of(ck_isa()); }

void ck_trees_prepare_row(const ck_trees *trees, const float *values, float *columns) {
    for (size_t c = 0; c < trees->column_count; c++)
        columns[c] = ck_column_value(values[trees->features[c]], trees->kinds[c]);
}
