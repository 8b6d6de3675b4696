#ifndef SHARED_WORDS_H
#define SHARED_WORDS_H

#include <stdint.h>

/* Words of plain memory that one thread writes while others read: what a graph needs that is walked while it changes.
 *
 * On x86-64 a load and a store here cost what plain ones cost; only ck_announce is a full barrier.
 */

/// What was stored by ck_publish, and everything that its thread wrote before.
static inline uint32_t ck_observe(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
/// Lets other threads see `value`, and everything that this thread wrote before.
static inline void ck_publish(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
/// A word of bits, and what was written before the bits that it shows were set.
static inline uint64_t ck_observe_bits(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
/// Sets those bits of a word that has one writer.
static inline void ck_set_bits(uint64_t *word, uint64_t bits) {
    __atomic_store_n(word, __atomic_load_n(word, __ATOMIC_RELAXED) | bits, __ATOMIC_RELEASE);
}
/// Clears those bits of a word that has one writer.
static inline void ck_clear_bits(uint64_t *word, uint64_t bits) {
    __atomic_store_n(word, __atomic_load_n(word, __ATOMIC_RELAXED) & ~bits, __ATOMIC_RELEASE);
}
/// Stores `value` so that no later load of this thread is made before others can see it.
static inline void ck_announce(uint64_t *word, uint64_t value) {
    __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
/// Takes an announcement back: all loads of this thread so far are done.
static inline void ck_withdraw(uint64_t *word) { __atomic_store_n(word, 0, __ATOMIC_RELEASE); }
/// Another thread's announcement, not older than the last full barrier of either.
static inline uint64_t ck_announced(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }

#endif
