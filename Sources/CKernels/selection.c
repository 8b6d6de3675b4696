// Selection among rank keys: partitions have no branch to mispredict.
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

size_t ck_collect_keys(const uint32_t *rows, const float *scores, size_t count, uint64_t bar, uint64_t *keys) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t key = (uint64_t)ck_ordered(scores[i]) << 32 | (uint32_t)~rows[i];
        keys[kept] = key;
        kept += key > bar;
    }
    return kept;
}

/// Sinks `keys[at]` in a heap of `n` whose root is the least.
static void sink(uint64_t *keys, size_t at, size_t n) {
    uint64_t key = keys[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && keys[child + 1] < keys[child]) child++;
        if (keys[child] >= key) break;
        keys[at] = keys[child];
    }
    keys[at] = key;
}

static void sort(uint64_t *keys, size_t n, int depth) {
    while (n > 16) {
        if (depth-- == 0) {
            // Pivots went wrong again and again: the sort that cannot.
            for (size_t i = n / 2; i-- > 0;) sink(keys, i, n);
            for (size_t last = n - 1; last > 0; last--) {
                uint64_t least = keys[0];
                keys[0] = keys[last];
                keys[last] = least;
                sink(keys, 0, last);
            }
            return;
        }
        uint64_t pivot = middle(keys[0], keys[n / 2], keys[n - 1]);
        size_t greater = 0;
        for (size_t i = 0; i < n; i++) {
            uint64_t key = keys[i];
            keys[i] = keys[greater];
            keys[greater] = key;
            greater += key > pivot;
        }
        // The others are not greater; those equal to the pivot go first among them, and are in place.
        size_t others = greater;
        for (size_t i = greater; i < n; i++) {
            uint64_t key = keys[i];
            keys[i] = keys[others];
            keys[others] = key;
            others += key == pivot;
        }
        sort(keys + others, n - others, depth);
        n = greater;
    }
    for (size_t i = 1; i < n; i++) {
        uint64_t key = keys[i];
        size_t place = i;
        for (; place > 0 && keys[place - 1] < key; place--) keys[place] = keys[place - 1];
        keys[place] = key;
    }
}

void ck_sort_descending(uint64_t *keys, size_t n) {
    int depth = 8;
    for (size_t left = n; left > 1; left /= 2) depth += 2;
    sort(keys, n, depth);
}
