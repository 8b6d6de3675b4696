import Glibc
import Logging
import NIOCore
import NIOPosix
import Serving
import Vocabulary
import Wire

/// Remembers over a restart what active users ask for, and has the loops ask it again.
struct CacheWarming: Sendable {
    let node: NodeContext
    /// Nil: nothing is remembered over a restart.
    let path: String?
    /// All shards together.
    let keysMax: Int
    let logger: Logger

    /// Entries that a loop looks at in one turn.
    private static let turnEntries = 2048

    /// Reads the file and gives each shard its users' keys. A file that is missing or not sound is none.
    func begin(on pool: NIOThreadPool) async {
        guard let path, keysMax > 0 else { return }
        let (logger, keysMax, partitions) = (logger, keysMax, node.partitions)
        let dealt: [[[UInt8]]]? = try? await pool.runIfActive {
            guard access(path, F_OK) == 0 else { return nil }
            do {
                return Self.deal(try WarmKeysFile.read(path).prefix(keysMax), partitions)
            } catch {
                logger.warning(
                    "the keys of the result cache cannot be read and are left aside",
                    metadata: ["cache.warm_file": "\(path)", "error": "\(error)"])
                return nil
            }
        }
        guard let dealt else { return }
        logger.info(
            "the result cache is warmed", metadata: ["cache.keys": "\(dealt.reduce(0) { $0 + $1.count })"])
        for (worker, keys) in zip(node.workers, dealt) where !keys.isEmpty {
            worker.eventLoop.execute { worker.refilling.add(warm: keys) }
        }
    }

    private static func deal(_ keys: ArraySlice<[UInt8]>, _ partitions: PartitionMap) -> [[[UInt8]]] {
        var dealt: [[[UInt8]]] = Array(repeating: [], count: partitions.shardCount)
        let arena = DecodeArena()
        for key in keys {
            key.withUnsafeBytes { bytes in
                guard let view = try? RecommendRequestView(bytes, arena: arena), !view.user.isEmpty else { return }
                dealt[partitions.shard(of: Slot(user: view.user))].append(key)
            }
        }
        return dealt
    }

    /// Lets the loops work at nothing else until all is made or the time is up.
    func wait(atMost time: Duration) async {
        let end = ContinuousClock.now + time
        for worker in node.workers { worker.eventLoop.execute { worker.refilling.isHurried = true } }
        while ContinuousClock.now < end {
            var left = 0
            for worker in node.workers {
                left += (try? await worker.eventLoop.submit { worker.refilling.count }.get()) ?? 0
            }
            if left == 0 { break }
            try? await Task.sleep(for: .milliseconds(10))
        }
        for worker in node.workers { worker.eventLoop.execute { worker.refilling.isHurried = false } }
    }

    /// Writes the file; on a thread that may wait.
    func save() {
        guard let path, keysMax > 0 else { return }
        var keys: [[UInt8]] = []
        for worker in node.workers {
            var (place, active): (Int?, ActiveKeys) = (0, ActiveKeys(countMax: keysMax / max(1, node.shardCount)))
            while let from = place {
                let (known, next) = (active, from)
                let turn = try? worker.eventLoop.submit {
                    var active = known
                    let end = worker.shard.assumeIsolated {
                        $0.collectActiveKeys(from: next, count: Self.turnEntries, into: &active)
                    }
                    return (end, active)
                }.wait()
                guard let turn else { break }
                (place, active) = turn
            }
            keys += active.keys
        }
        // After a start that served nobody, what was known before is worth more.
        if keys.isEmpty { return }
        do {
            try WarmKeysFile.write(keys, to: path)
        } catch {
            logger.warning(
                "the keys of the result cache cannot be written",
                metadata: ["cache.warm_file": "\(path)", "error": "\(error)"])
        }
    }
}
