import NIOCore
import RemoteCache
import Serving
import SharedUsers
import Vocabulary

/// Reads all users of slots that were taken over, behind the back of requests: once that is done, their first calls need not wait.
///
/// One slot at a time, a few users at once, some hundred microseconds of work between two looks at the sockets. Rests while what
/// is known of users takes most of the memory that it may.
final class SlotScan {
    private unowned let sharing: UserSharing
    private var current: Current?
    private var isWaiting = false

    private struct Current {
        let slot: Int
        let version: UInt32
        var cursor = "0"
        var users: Set<String> = []
        /// Those that could not be read.
        var except: Set<UInt64> = []
        /// Read and not merged yet.
        var records: [(user: String, bytes: [UInt8])] = []
        var isLast = false
    }

    private static let stepNanoseconds: UInt64 = 250_000
    private static let pause = TimeAmount.milliseconds(2)
    /// Of a slot, whose names are remembered; beyond, users that only this node knows are written when they are asked for.
    private static let usersMax = 65_536

    init(_ sharing: UserSharing) { self.sharing = sharing }

    /// Goes on where there is something to read.
    func begin() {
        guard current == nil, !isWaiting, hasRoom, let (slot, version) = sharing.claims.nextUnread() else { return }
        current = Current(slot: slot, version: version)
        read()
    }

    private var hasRoom: Bool {
        sharing.worker.shard.assumeIsolated { shard in
            guard let states = shard.liveUsers?.states else { return false }
            return states.statistics.bytes < states.configuration.bytesMax / 10 * 9
        }
    }

    private func read() {
        guard let scan = current else { return }
        let bounds = sharing.settings.bounds
        let words = [
            scan.cursor, "\(SharingSettings.scanUsers)", "\(bounds.recordBytesMax)",
            "\(max(bounds.recordBytesMax, SharingSettings.scanBytesMax))",
        ]
        sharing.client.run(
            SharingScripts.scan, keys: [sharing.keys.users(scan.slot)], words.map { Array($0.utf8) }, isWrite: false,
            timeout: SharingSettings.loadTimeout
        ) { [weak self] result in
            guard let self else { return }
            guard case .success(let reply) = result, let parts = reply.array, parts.count == 2,
                let cursor = parts[0].text, let users = parts[1].array
            else { return end(isRead: false) }
            current?.cursor = cursor
            current?.isLast = cursor == "0"
            for place in stride(from: 0, to: users.count - 1, by: 2) {
                guard let name = users[place].bytes else { continue }
                let user = String(decoding: name, as: UTF8.self)
                // Somebody else's: no user of the slot.
                guard Int(Slot(user: user).value) == scan.slot else {
                    sharing.state.damages &+= 1
                    continue
                }
                if (current?.users.count ?? 0) < Self.usersMax { current?.users.insert(user) }
                if let bytes = users[place + 1].bytes {
                    current?.records.append((user, bytes))
                } else {
                    current?.except.insert(XXH64.hash(user))
                }
            }
            merge()
        }
    }

    private func merge() {
        let until = LoopWorker.now &+ Self.stepNanoseconds
        while let (user, bytes) = current?.records.popLast() {
            sharing.state.scanned &+= 1
            sharing.merge(bytes, of: user)
            if LoopWorker.now >= until { return later(.merge) }
        }
        guard let scan = current else { return }
        guard hasRoom, sharing.claims.version(scan.slot) == scan.version else { return end(isRead: false) }
        if scan.isLast { return end(isRead: true) }
        later(.read)
    }

    private enum Step { case read, merge, begin }

    private func later(_ step: Step) {
        isWaiting = true
        sharing.loop.scheduleTask(in: Self.pause) { [weak self] in
            guard let self else { return }
            isWaiting = false
            switch step {
            case .read: read()
            case .merge: merge()
            case .begin: begin()
            }
        }
    }

    private func end(isRead: Bool) {
        guard let scan = current else { return }
        current = nil
        if isRead {
            writeUnheard(scan)
            sharing.claims.readWhole(scan.slot, version: scan.version, except: scan.except)
        } else {
            sharing.claims.readWhole(scan.slot, version: scan.version, except: nil)
        }
        if isRead { later(.begin) }
    }

    /// Users that this node knows, and nobody else can.
    private func writeUnheard(_ scan: Current) {
        guard scan.users.count < Self.usersMax else { return }
        let missing = sharing.worker.shard.assumeIsolated { shard -> [UserEvent] in
            guard let live = shard.liveUsers else { return [] }
            return live.users(in: scan.slot).filter { !scan.users.contains($0) && !sharing.unwritten.contains($0) }
                .flatMap { live.historyToShare(of: $0) }
        }
        if !missing.isEmpty { sharing.write(missing) { _ in } }
    }
}

/// Touched on its loop alone.
extension SlotScan: @unchecked Sendable {}
