import Serving

/// Hit ratios of eviction policies over a trace, entries of one size: what a policy is worth, apart from bytes.
package enum PolicySimulation {
    /// The share of the requests in the second half of the trace that find an entry.
    ///
    /// - Parameter capacity: Entries.
    package static func hitRatio(_ trace: CacheTrace, capacity: Int, _ policy: some EvictionPolicy) -> Double {
        var placeOf = [Int32](repeating: -1, count: trace.userCount)
        var userAt = [Int32](repeating: -1, count: capacity + 1)
        var free = Array((0...Int32(capacity)).reversed())
        var (count, hits, requests) = (0, 0, 0)
        let warm = trace.steps.count / 2
        for (number, step) in trace.steps.enumerated() {
            let user = Int(step < 0 ? ~step : step)
            let place = placeOf[user]
            if step < 0 {
                guard place >= 0 else { continue }
                policy.remove(Int(place))
                placeOf[user] = -1
                free.append(place)
                count -= 1
                continue
            }
            if number >= warm { requests += 1 }
            if place >= 0 {
                policy.use(Int(place))
                if number >= warm { hits += 1 }
                continue
            }
            let hash = UInt32(truncatingIfNeeded: ((UInt64(user) &+ 1) &* 0x9E37_79B9_7F4A_7C15) >> 32)
            policy.miss(hash: hash)
            let new = free.removeLast()
            placeOf[user] = new
            userAt[Int(new)] = step
            policy.insert(Int(new), hash: hash, cost: 1)
            count += 1
            while count > capacity, let victim = policy.evict() {
                placeOf[Int(userAt[victim])] = -1
                free.append(Int32(victim))
                count -= 1
            }
        }
        return Double(hits) / Double(max(1, requests))
    }

    /// What keeping the `capacity` users who ask most in the whole trace would have: the best of all fixed sets.
    package static func fixedSet(_ trace: CacheTrace, capacity: Int) -> Double {
        var asked = [Int](repeating: 0, count: trace.userCount)
        for step in trace.steps where step >= 0 { asked[Int(step)] += 1 }
        var isKept = [Bool](repeating: false, count: trace.userCount)
        for user in asked.indices.sorted(by: { asked[$0] > asked[$1] }).prefix(capacity) { isKept[user] = true }
        return ratio(trace) { isKept[$0] }
    }

    /// What a cache without an end would have: the rest are first requests and those after an event.
    package static func unbounded(_ trace: CacheTrace) -> Double { ratio(trace) { _ in true } }

    private static func ratio(_ trace: CacheTrace, _ isKept: (Int) -> Bool) -> Double {
        var isThere = [Bool](repeating: false, count: trace.userCount)
        var (hits, requests) = (0, 0)
        for (number, step) in trace.steps.enumerated() {
            let user = Int(step < 0 ? ~step : step)
            if step >= 0, number >= trace.steps.count / 2 {
                requests += 1
                if isThere[user] { hits += 1 }
            }
            isThere[user] = step >= 0 && isKept(user)
        }
        return Double(hits) / Double(max(1, requests))
    }

    /// Belady's choice: who is asked for again last goes, and what an event voids before it is asked for again at once.
    /// No policy can do better; it knows the trace to its end.
    ///
    /// - Complexity: O(steps * log(capacity)).
    package static func ideal(_ trace: CacheTrace, capacity: Int) -> Double {
        let never = Int32.max
        var next = [Int32](repeating: never, count: trace.steps.count)
        var nextRequest = [Int32](repeating: never, count: trace.userCount)
        for number in trace.steps.indices.reversed() {
            let step = trace.steps[number]
            next[number] = nextRequest[Int(step < 0 ? ~step : step)]
            nextRequest[Int(step < 0 ? ~step : step)] = step < 0 ? never : Int32(number)
        }
        // When each kept user is asked for next; -1: not kept. The heap has stale members, which are skipped.
        var keptUntil = [Int32](repeating: -1, count: trace.userCount)
        var heap = FarthestFirst()
        var (count, hits, requests) = (0, 0, 0)
        for (number, step) in trace.steps.enumerated() where step >= 0 {
            let user = Int(step)
            let isHit = keptUntil[user] == Int32(number)
            if number >= trace.steps.count / 2 {
                requests += 1
                if isHit { hits += 1 }
            }
            if isHit { count -= 1 }
            keptUntil[user] = -1
            guard next[number] != never else { continue }
            keptUntil[user] = next[number]
            heap.push(next[number], step)
            count += 1
            while count > capacity, let farthest = heap.pop() {
                guard keptUntil[Int(farthest.user)] == farthest.time else { continue }
                keptUntil[Int(farthest.user)] = -1
                count -= 1
            }
        }
        return Double(hits) / Double(max(1, requests))
    }

    /// A binary heap, the latest time on top.
    private struct FarthestFirst {
        private var members: [(time: Int32, user: Int32)] = []

        mutating func push(_ time: Int32, _ user: Int32) {
            members.append((time, user))
            var place = members.count - 1
            while place > 0, members[(place - 1) / 2].time < members[place].time {
                members.swapAt(place, (place - 1) / 2)
                place = (place - 1) / 2
            }
        }

        mutating func pop() -> (time: Int32, user: Int32)? {
            guard let first = members.first, let last = members.popLast() else { return nil }
            if members.isEmpty { return first }
            members[0] = last
            var place = 0
            while true {
                var larger = place
                for child in [2 * place + 1, 2 * place + 2]
                where child < members.count && members[child].time > members[larger].time { larger = child }
                if larger == place { return first }
                members.swapAt(place, larger)
                place = larger
            }
        }
    }
}
