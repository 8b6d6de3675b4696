import MartletClient
import Training
import Vocabulary

/// What became of the events of a file.
struct IngestTally: Sendable {
    /// How many refused events are shown one by one.
    static let samplesMax = 10
    /// Different reasons that are counted; more count together.
    static let reasonsMax = 50

    var path = ""
    /// That were read, whatever became of them.
    var events = 0
    var stored = 0
    var duplicates = 0
    /// Lines that are no events, and events that the node refused.
    var refused = 0
    var reasons: [String: Int] = [:]
    /// The first of them.
    var samples: [(line: Int, message: String)] = []
    /// Of those stored: for items that the node's model does not know.
    var unknownItems = 0
    var madeIDs = 0
    var withoutIDs = 0
    /// Calls that were made again.
    var retries = 0
    var durability: Durability?
    var passedOver: [String] = []
    /// Why nothing more was sent, and from which line on.
    var stop: (line: Int, message: String)?
    var fraction: Double?
    var isOver = false

    var isComplete: Bool { refused == 0 && stop == nil }

    mutating func refuse(line: Int, reason: String, message: String) {
        refused += 1
        let key = reasons[reason] != nil || reasons.count < Self.reasonsMax ? reason : "other reasons"
        reasons[key, default: 0] += 1
        // Calls end in any order; people read files from the top.
        if samples.count < Self.samplesMax || line < samples.last?.line ?? 0 {
            let place = samples.firstIndex { $0.line > line } ?? samples.count
            samples.insert((line, message), at: place)
            if samples.count > Self.samplesMax { samples.removeLast() }
        }
    }

    mutating func read(_ batch: EventBatch) {
        events += batch.events.count
        madeIDs += batch.madeIDs
        withoutIDs += batch.withoutIDs
        fraction = batch.fraction
        for (line, fault) in batch.faults { refuse(line: line, reason: fault.reason, message: fault.message) }
    }
}

extension EventStatus {
    /// As counts of refused events name it.
    var words: String {
        switch self {
        case .stored: "stored"
        case .invalid: "invalid"
        case .unknownType: "unknown type"
        case .time: "time"
        case .notStored: "not stored"
        }
    }
}

extension IngestTally {
    /// What happened, for people.
    func text(_ took: Duration, isDryRun: Bool, makesIDs: Bool) -> String {
        let seconds = max(took / .seconds(1), 0.001)
        var lines: [String] = []
        let rate = "\(ProgressLine.seconds(took)), \(Int(Double(events) / seconds)) events/s"
        if isDryRun {
            lines.append("\(path): \(events.counted("event")) could be sent; nothing was (\(rate))")
        } else {
            lines.append(
                "\(path): \(stored.counted("event")) stored\(place), \(duplicates.counted("duplicate")) (\(rate))")
        }
        if refused > 0 {
            let counts = reasons.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.value) \($0.key)" }
            lines.append("  \(refused) refused: \(counts.joined(separator: ", "))")
        }
        if let stop { lines.append("  stopped: \(stop.message)") }
        if retries > 0 { lines.append("  \(retries.counted("call")) made again") }
        if madeIDs > 0 {
            lines.append(
                "  \(madeIDs.counted("event")) without an ID got one from the content: the same file again counts nothing twice "
                    + "(--no-ids turns that off)")
        }
        if withoutIDs > 0 {
            let why = makesIDs ? "neither an ID nor a time" : "no ID"
            lines.append("  \(withoutIDs.counted("event")) with \(why): sent again, it counts again")
        }
        if unknownItems > 0 {
            lines.append("  \(unknownItems.counted("event")) for items that the node's model does not know")
        }
        if !passedOver.isEmpty { lines.append("  passed over: \(passedOver.map(Self.named).joined(separator: ", "))") }
        return lines.joined(separator: "\n")
    }

    private var place: String {
        switch durability {
        case .synced: " on disk"
        case .written: " (handed to the system, not synced)"
        case .memory: " in memory only (the node has no event log)"
        case nil: ""
        }
    }

    /// "itme (item?)"
    private static func named(_ column: String) -> String {
        let fields = ["user", "item", "type", "value", "time", "scenario", "request_id", "id"]
        let near = fields.first {
            NearestKey.edits(Array($0.utf8), Array(column.lowercased().utf8)) <= ($0.count > 3 ? 2 : 0)
        }
        return near.map { "\(column) (\($0)?)" } ?? column
    }
}

/// The same as JSON.
struct IngestSummary: Encodable {
    struct Refused: Encodable {
        var line: Int
        var message: String
    }

    var file: String
    var dryRun: Bool
    var events: Int
    var stored: Int
    var duplicates: Int
    var refused: Int
    /// `{reason: count}`; reasons are values here, so that no key is rewritten.
    var reasons: [Reason]
    var samples: [Refused]
    var unknownItems: Int
    var madeIds: Int
    var withoutIds: Int
    var retries: Int
    var durability: String?
    var passedOver: [String]
    var stopped: Refused?
    var complete: Bool
    var seconds: Double

    struct Reason: Encodable {
        var reason: String
        var count: Int
    }

    init(_ tally: IngestTally, _ took: Duration, isDryRun: Bool) {
        file = tally.path
        dryRun = isDryRun
        events = tally.events
        stored = tally.stored
        duplicates = tally.duplicates
        refused = tally.refused
        reasons = tally.reasons.sorted { $0.key < $1.key }.map { Reason(reason: $0.key, count: $0.value) }
        samples = tally.samples.map { Refused(line: $0.line, message: $0.message) }
        unknownItems = tally.unknownItems
        madeIds = tally.madeIDs
        withoutIds = tally.withoutIDs
        retries = tally.retries
        durability = tally.durability.map { "\($0)" }
        passedOver = tally.passedOver
        stopped = tally.stop.map { Refused(line: $0.line, message: $0.message) }
        complete = tally.isComplete
        seconds = took / .seconds(1)
    }
}
