// Selection among rank keys: quickselect whose partition has no branch to mispredict.
#include "ckernels.h"

static uint64_t middle(uint64_t a, uint64_t b, uint64_t c) {
    uint64_t low = a < b ? a : b, high = a < b ? b : a;
    return c < low ? low : c > high ? high : c;
}

uint64_t ck_keep_greatest(uint64_t *keys, size_t n, size_t k) {
    size_t low = 0, high = n;  // the k-th greatest is in keys[low..<high]
    uint64_t random = 0x9E3779B97F4A7C15u;
    while (high - low > 1) {
        // The pivot: the middle one of three places that no order of the input can foresee.
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t span = high - low, a = low + (size_t)(random >> 33) % span, b = low + (size_t)(random >> 13) % span;
        uint64_t pivot = middle(keys[a], keys[b], keys[low + span / 2]);
        // Everything greater than the pivot goes before it.
        size_t greater = low;
        for (size_t i = low; i < high; i++) {
            uint64_t key = keys[i];
            keys[i] = keys[greater];
            keys[greater] = key;
            greater += key > pivot;
        }
        if (greater >= k) {
            high = greater;
        } else {
            // keys[greater..<high] are not greater than the pivot, and the pivot is one of them: put it first.
            for (size_t i = greater; i < high; i++) {
                uint64_t key = keys[i];
                if (key == pivot) {
                    keys[i] = keys[greater];
                    keys[greater] = key;
                    break;
                }
            }
            low = greater;
            if (greater + 1 >= k) break;
            low = greater + 1;
        }
    }
    uint64_t least = keys[0];
    for (size_t i = 1; i < k; i++) least = keys[i] < least ? keys[i] : least;
    return least;
}
