import Vocabulary
import Wire

/// The order in which the frames of a pool are sent on the connections of one shard; repeated from the start when it
/// is used up. Drawn before the run, so that drawing costs the run nothing.
///
/// `@unchecked Sendable`: sealed by `init`, only read afterwards.
final class RequestSequence: @unchecked Sendable {
    static let drawsMax = 1 << 22
    let frames: UnsafeMutablePointer<UInt32>
    let count: Int

    init(_ list: [UInt32]) {
        precondition(!list.isEmpty, "an empty sequence of requests")
        count = list.count
        frames = .allocate(capacity: list.count)
        frames.initialize(from: list, count: list.count)
    }

    deinit { frames.deallocate() }

    /// One sequence for each shard of `map`, and the share of all calls that each holds; calls without a slot are
    /// dealt out in turn. Without a map: one sequence.
    static func draw(_ configuration: LoadConfiguration, pool: FramePool, map: PartitionMap?)
        -> [(sequence: RequestSequence, share: Double)]
    {
        var lists = [[UInt32]](repeating: [], count: map?.shardCount ?? 1)
        var generator = SeededGenerator(seed: configuration.seed)
        let users = ZipfSampler(count: configuration.users.count, exponent: configuration.exponent)
        let items = ZipfSampler(count: configuration.items.count, exponent: configuration.exponent)
        let largest = max(configuration.users.count, configuration.items.count)
        let draws =
            switch configuration.order {
            case .sequential: pool.count
            case .zipf: min(max(4 * largest, 1 << 16), drawsMax)
            }
        var positions: [Method: Int] = [:]
        var turn = 0
        for _ in 0..<draws {
            let method = configuration.mix.draw(&generator)
            guard let range = pool.ranges[method] else { continue }
            let rank: Int
            switch (configuration.order, method) {
            case (.zipf, .recommend): rank = users.draw(&generator)
            case (.zipf, .similarItems), (.zipf, .getItem): rank = items.draw(&generator)
            default:
                rank = positions[method, default: 0] % range.count
                positions[method] = rank + 1
            }
            let frame = range.lowerBound + rank
            var shard = 0
            if let map {
                if let slot = pool.slot(frame) {
                    shard = map.shard(of: slot)
                } else {
                    turn = (turn + 1) % map.shardCount
                    shard = turn
                }
            }
            lists[shard].append(UInt32(frame))
        }
        // A shard that no drawn user lives in still has connections: they repeat the whole load's first call.
        let total = lists.reduce(0) { $0 + $1.count }
        return lists.map { list in
            (RequestSequence(list.isEmpty ? [0] : list), Double(list.count) / Double(max(total, 1)))
        }
    }
}
