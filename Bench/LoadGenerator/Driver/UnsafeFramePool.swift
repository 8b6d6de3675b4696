import Vocabulary
import Wire

/// Every call that a load may send, encoded once: sending is a copy and four bytes of call ID.
///
/// ```
///  bytes    | frame 0 | frame 1 | ...        each: header, body; timeout, flags and slot are set, the call ID is not
///  offsets  | 0       | ...     | end |
/// ```
///
/// `@unchecked Sendable`: sealed by `init`, only read afterwards.
final class FramePool: @unchecked Sendable {
    let bytes: UnsafeMutableRawPointer
    let offsets: UnsafeMutablePointer<Int>
    let count: Int
    let frameBytesMax: Int
    /// The frames of each method.
    let ranges: [Method: Range<Int>]

    init(_ configuration: LoadConfiguration) {
        let plan = FramePlan(configuration)
        var sizes = 0
        var largest = 0
        offsets = .allocate(capacity: plan.count + 1)
        for index in 0..<plan.count {
            offsets[index] = sizes
            let frameBytes = FrameHeader.byteCount + plan.body(index).encodedByteCount
            largest = max(largest, frameBytes)
            sizes += frameBytes
        }
        offsets[plan.count] = sizes
        bytes = .allocate(byteCount: max(sizes, 1), alignment: 16)
        count = plan.count
        frameBytesMax = largest
        ranges = plan.ranges
        let timeout = UInt32(clamping: Int(configuration.timeout * 1e6))
        let flags = CallFlags(configuration.priority).union(configuration.bypassCache ? .bypassCache : [])
        for index in 0..<plan.count {
            let body = plan.body(index)
            let bodyBytes = offsets[index + 1] - offsets[index] - FrameHeader.byteCount
            let header = FrameHeader.call(
                plan.method(index), id: 0, timeoutMicroseconds: timeout, slot: plan.slot(index), flags: flags,
                bodyBytes: bodyBytes)
            let start = bytes + offsets[index]
            header.write(into: start)
            body.encode(into: start + FrameHeader.byteCount, byteCount: bodyBytes)
        }
    }

    deinit {
        bytes.deallocate()
        offsets.deallocate()
    }

    /// The routing slot that the frame carries; `nil` when it carries none.
    func slot(_ frame: Int) -> Slot? {
        let raw = UInt16(bigEndian: (bytes + offsets[frame] + 16).loadUnaligned(as: UInt16.self))
        return Int(raw) < Slot.count ? Slot(raw) : nil
    }
}

/// Which frame of the pool is which call.
struct FramePlan: Sendable {
    /// Items of a Rank.
    static let rankItems = 200
    private static let manyFrames = 1024
    private let configuration: LoadConfiguration
    let ranges: [Method: Range<Int>]
    private let order: [(method: Method, range: Range<Int>)]
    private let manyUsers: [[Int]]
    let count: Int

    init(_ configuration: LoadConfiguration) {
        self.configuration = configuration
        var next = 0
        var order: [(Method, Range<Int>)] = []
        for (method, _) in configuration.mix.weights {
            let frames =
                switch method {
                case .recommend, .rank, .recordEvents: configuration.users.count
                case .recommendMany: FramePlan.manyFrames
                case .similarItems, .getItem: configuration.items.count
                case .health, .listModels, .loadModel, .upsertItems, .deleteItems, .setAvailability: 1
                }
            order.append((method, next..<(next + frames)))
            next += frames
        }
        count = next
        self.order = order
        ranges = Dictionary(uniqueKeysWithValues: order)
        guard configuration.mix.contains(.recommendMany) else {
            manyUsers = []
            return
        }
        var generator = SeededGenerator(seed: configuration.seed ^ 0x6D61_6E79)
        let sampler = ZipfSampler(count: configuration.users.count, exponent: configuration.exponent)
        manyUsers = (0..<FramePlan.manyFrames).map { _ in
            (0..<configuration.usersPerManyCall).map { _ in sampler.draw(&generator) }
        }
    }

    private func place(_ index: Int) -> (method: Method, rank: Int) {
        for entry in order where entry.range.contains(index) { return (entry.method, index - entry.range.lowerBound) }
        preconditionFailure("frame \(index) of \(count)")
    }

    func method(_ index: Int) -> Method { place(index).method }

    /// Calls about one user carry the user's slot.
    func slot(_ index: Int) -> Slot? {
        let (method, rank) = place(index)
        switch method {
        case .recommend, .rank, .recordEvents: return Slot(user: configuration.users.name(rank))
        default: return nil
        }
    }

    func body(_ index: Int) -> any MessageBody {
        let (method, rank) = place(index)
        switch method {
        case .recommend:
            var request = RecommendRequest(
                user: configuration.users.name(rank), k: configuration.k, scenario: configuration.scenario)
            request.tenant = configuration.tenant
            return request
        case .recommendMany:
            var request = RecommendManyRequest(
                users: manyUsers[rank].map(configuration.users.name), k: configuration.k,
                scenario: configuration.scenario)
            request.tenant = configuration.tenant
            return request
        case .similarItems:
            var request = SimilarItemsRequest(item: configuration.items.name(rank), k: configuration.k)
            request.tenant = configuration.tenant
            return request
        case .getItem:
            var request = GetItemRequest(item: configuration.items.name(rank))
            request.tenant = configuration.tenant
            return request
        case .rank:
            // Items spread over the catalogue, others for each user.
            let count = configuration.items.count
            let items = (0..<min(FramePlan.rankItems, count)).map { (rank &* 7919 &+ $0 &* 31) % count }
            var request = RankRequest(
                user: configuration.users.name(rank), items: Set(items).sorted().map(configuration.items.name))
            request.tenant = configuration.tenant
            return request
        case .recordEvents:
            // An item of the catalogue, another for each user; without an ID, so that each call counts.
            let item = configuration.items.name((rank &* 7919 &+ 13) % configuration.items.count)
            var request = RecordEventsRequest(events: [
                UserEvent(user: configuration.users.name(rank), item: item, type: "click")
            ])
            request.tenant = configuration.tenant
            return request
        case .health, .listModels, .loadModel, .upsertItems, .deleteItems, .setAvailability:
            // Changes of items are no load: `MethodMix` does not name them.
            return EmptyRequest()
        }
    }
}
