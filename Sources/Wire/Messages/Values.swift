import CWireMessages

/// Which link of the chain served the user.
public enum Fallback: UInt32, CaseIterable, Sendable, Hashable {
    /// The user's own sources.
    case none = 0
    /// A known user without anything to go by: popular and recent items.
    case noHistory = 1
    /// A user the generation does not know: popular and recent items.
    case unknownUser = 2

    /// A word for tables and logs.
    public var name: String {
        switch self {
        case .none: "none"
        case .noHistory: "no_history"
        case .unknownUser: "unknown_user"
        }
    }

    init(_ value: Martlet__V1__Fallback) {
        self = Fallback(rawValue: UInt32(truncatingIfNeeded: value.rawValue)) ?? .none
    }
}

/// What was less than it should be about an answer. Bit `n` stands for value `n` of the schema's `Degradation`.
public struct Degradations: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// A configured source is not in the bundle.
    public static let sourceUnavailable = Degradations(rawValue: 1 << 1)
    /// A source was left out to keep the deadline.
    public static let deadlineTruncated = Degradations(rawValue: 1 << 2)
    /// The cursor was of another generation; the page starts anew.
    public static let cursorRestarted = Degradations(rawValue: 1 << 3)
    /// Fewer than k items were eligible.
    public static let shortSlate = Degradations(rawValue: 1 << 4)
    /// The scenario wants a ranker and the bundle has none: the order is retrieval's.
    public static let rankerUnavailable = Degradations(rawValue: 1 << 5)
    /// The ranker was too slow for the deadline, or its scores were no numbers: the order is retrieval's.
    public static let rankerSkipped = Degradations(rawValue: 1 << 6)
    /// The scenario's caps were raised to fill the slate.
    public static let capsRelaxed = Degradations(rawValue: 1 << 7)
    /// Another node may know something of the user that this one did not.
    public static let staleUserState = Degradations(rawValue: 1 << 8)
    /// An answer from before, as there was no time or no room to make one.
    public static let staleSlate = Degradations(rawValue: 1 << 9)
    /// No source had time, or found anything: what is popular.
    public static let popularOnly = Degradations(rawValue: 1 << 10)
    /// A source failed; the others made the slate.
    public static let sourceFailed = Degradations(rawValue: 1 << 11)
    /// The ranker takes what users do just now, and nothing fresh was known of it.
    public static let liveFeaturesMissing = Degradations(rawValue: 1 << 12)
    /// What the user did since the model was made has no part in its factor.
    public static let foldInFailed = Degradations(rawValue: 1 << 13)
    /// There was no time for all of the explanation.
    public static let explanationCut = Degradations(rawValue: 1 << 14)

    /// Words for tables and logs.
    public var names: [String] {
        (1..<UInt32(32)).filter { rawValue & (1 << $0) != 0 }.map { value in
            switch Degradations(rawValue: 1 << value) {
            case .sourceUnavailable: "source_unavailable"
            case .deadlineTruncated: "deadline_truncated"
            case .cursorRestarted: "cursor_restarted"
            case .shortSlate: "short_slate"
            case .capsRelaxed: "caps_relaxed"
            case .staleUserState: "stale_user_state"
            case .rankerUnavailable: "ranker_unavailable"
            case .rankerSkipped: "ranker_skipped"
            case .staleSlate: "stale_slate"
            case .popularOnly: "popular_only"
            case .sourceFailed: "source_failed"
            case .liveFeaturesMissing: "live_features_missing"
            case .foldInFailed: "fold_in_failed"
            case .explanationCut: "explanation_cut"
            default: "degradation_\(value)"
            }
        }
    }

    /// Values 1 to 31 are kept, others are skipped.
    init(_ values: UnsafeMutablePointer<Martlet__V1__Degradation>?, _ count: Int) {
        var bits: UInt32 = 0
        if let values {
            for value in UnsafeBufferPointer(start: values, count: count) where (1...31).contains(value.rawValue) {
                bits |= 1 << UInt32(value.rawValue)
            }
        }
        rawValue = bits
    }
}

extension ProtoSink {
    /// A packed list of the values in `set`, ascending.
    mutating func field(_ number: Int, _ set: Degradations) {
        let bits = set.rawValue & ~1
        guard bits != 0 else { return }
        tag(number, 2)
        // Values up to 31 take a byte each.
        varint(UInt64(bits.nonzeroBitCount))
        for value in 1..<UInt64(32) where bits & (1 << value) != 0 { varint(value) }
    }
}

/// What an item must be like to be shown. All the given conditions must hold.
public struct AttributeFilter: Sendable, Hashable {
    /// Has at least one of these.
    public var anyTag: [String]
    /// Has each of these.
    public var allTags: [String]
    /// Has none of these.
    public var noTag: [String]
    /// Satisfies each of these.
    public var conditions: [AttributeCondition]

    public init(
        anyTag: [String] = [], allTags: [String] = [], noTag: [String] = [], conditions: [AttributeCondition] = []
    ) {
        self.anyTag = anyTag
        self.allTags = allTags
        self.noTag = noTag
        self.conditions = conditions
    }

    public var isEmpty: Bool { anyTag.isEmpty && allTags.isEmpty && noTag.isEmpty && conditions.isEmpty }
}

/// A test of one attribute that the model's items have. What is given must all hold; something must be given.
public struct AttributeCondition: Sendable, Hashable {
    /// As the file of items names it.
    public var attribute: String
    /// The item has at least one of these; of a number: its decimal form. Empty: not asked.
    public var anyOf: [String]
    /// The item has none of these; an item without the attribute passes.
    public var noneOf: [String]
    /// The item's number is at least this.
    public var min: Double?
    /// The item's number is at most this.
    public var max: Double?

    public init(
        _ attribute: String, anyOf: [String] = [], noneOf: [String] = [], min: Double? = nil, max: Double? = nil
    ) {
        self.attribute = attribute
        self.anyOf = anyOf
        self.noneOf = noneOf
        self.min = min
        self.max = max
    }
}

extension AttributeCondition: ProtoEncodable {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, attribute)
        sink.field(2, anyOf)
        sink.field(3, noneOf)
        sink.field(4, min)
        sink.field(5, max)
    }

    init(_ view: AttributeConditionsView.Element) {
        self.init(
            String(decoding: view.attribute, as: UTF8.self), anyOf: view.anyOf.strings, noneOf: view.noneOf.strings,
            min: view.min, max: view.max)
    }
}

extension AttributeFilter: ProtoEncodable {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, anyTag)
        sink.field(2, allTags)
        sink.field(3, noTag)
        for condition in conditions { sink.message(4, condition) }
    }
}

extension ProtoSink {
    mutating func field(_ number: Int, _ filter: AttributeFilter) {
        if !filter.isEmpty { message(number, filter) }
    }
}

/// A fact about the moment of a request.
public struct ContextEntry: Sendable, Hashable {
    public var key: String
    public var value: String

    public init(key: String, value: String) {
        self.key = key
        self.value = value
    }
}

extension ContextEntry: ProtoEncodable {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, key)
        sink.field(2, value)
    }
}

/// What one source had to do with one item of an answer.
public struct SourceShare: Sendable, Hashable {
    /// Index into the answer's items.
    public var item: Int
    /// The source's name.
    public var source: String
    /// 1 is the best of that source.
    public var rank: Int
    /// As the source gave it.
    public var score: Float
    /// Normalised and weighted: an item's contributions add up to its score.
    public var contribution: Float

    public init(item: Int, source: String, rank: Int, score: Float, contribution: Float) {
        self.item = item
        self.source = source
        self.rank = rank
        self.score = score
        self.contribution = contribution
    }
}

extension SourceShare: ProtoEncodable {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, UInt32(truncatingIfNeeded: item))
        sink.field(2, source)
        sink.field(3, UInt32(truncatingIfNeeded: rank))
        sink.field(4, score)
        sink.field(5, contribution)
    }
}

/// How long a stage of a request took.
public struct StageTiming: Sendable, Hashable {
    public var stage: String
    public var microseconds: UInt32

    public init(stage: String, microseconds: UInt32) {
        self.stage = stage
        self.microseconds = microseconds
    }
}

extension StageTiming: ProtoEncodable {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, stage)
        sink.field(2, microseconds)
    }
}
