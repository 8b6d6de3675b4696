// The twin that every machine can run: one value at a time.
#include "trees.h"

enum { W = 1 };
typedef float vf;
typedef uint32_t vu;
CKT_INLINE vf vf_load(const float *p) { return *p; }
CKT_INLINE vf vf_set(float a) { return a; }
CKT_INLINE vu vu_set(uint32_t a) { return a; }
CKT_INLINE void vu_store(uint32_t *p, vu a) { *p = a; }
CKT_INLINE vu keep_below(vu acc, vf x, vf t, vu out) { return x >= t ? acc & ~out : acc; }
CKT_INLINE vu keep_not_above(vu acc, vf x, vf t, vu out) { return x < t ? acc : acc & ~out; }

static void slots(const ck_trees *trees, size_t from, size_t to, const float *columns, uint32_t *left) {
    for (int l = 0; l < CK_TREE_LANES; l++) left[l] = 0xFFFFFFFFu;
    for (size_t s = from; s < to; s++)
        for (int l = 0; l < CK_TREE_LANES; l++) {
            size_t at = s * CK_TREE_LANES + (size_t)l;
            float x = columns[trees->columns[at]], t = trees->thresholds[at];
            int right = trees->nan_right[s] >> l & 1 ? !(x < t) : x >= t;
            if (right) left[l] &= trees->masks[at];
        }
}

#define TREES_TABLE ck_trees_scalar
#include "trees_body.h"
