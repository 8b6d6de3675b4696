import EventLog
import Vocabulary

/// What to make of the events of a log.
package struct LogImportOptions: Sendable {
    package var weights = EventWeights.standard
    /// Milliseconds since 1970: events before are left out; nil: none.
    package var since: UInt64?
    /// Events from then on are left out; nil: none.
    package var until: UInt64?
    /// Ratings below this are left out; nil: those at or below zero.
    package var minimumValue: Double?
    /// How long after an impression the user may still answer it, in milliseconds; nil: impressions are not looked at.
    package var impressionWindow: UInt64?
    /// Whether it is wanted what happened when.
    package var keepsTimeline = false

    package init() {}
}

/// What a log gave, for the person who asked.
package struct LogImportReport: Sendable {
    package var archive = ArchiveReport()
    /// Events in the window of time.
    package var events = 0
    package var outsideWindow = 0
    /// Interactions that they gave, before those of a user and an item are merged.
    package var pairs = 0
    package var impressions = 0
    package var ratingsWithoutValue = 0
    package var belowMinimum = 0
    /// Events of types that have no weight, the first few types.
    package var unweighted: [String: Int] = [:]
    /// Pairs that are no interactions because the user did not want the item.
    package var unwanted = 0
    /// Of the events that gave interactions, milliseconds since 1970.
    package var first: UInt64?
    package var last: UInt64?
    /// Pairs of the data that were there before the log.
    package var basePairs = 0
    /// Whether those had no times and count as just before the log.
    package var baseIsUndated = false

    static let unweightedMax = 20
}

/// Makes interactions of a log: as if its events stood in a file of user, item, value and time, with the weight as value.
///
/// - Complexity: one pass over the log; about 40 bytes of memory for each pair, as in an import of a file.
package struct LogImport {
    private let options: LogImportOptions
    private let onProgress: (Int) throws -> Void

    /// - Parameter onProgress: Told how many events were read, now and then; what it throws ends the import.
    package init(_ options: LogImportOptions, onProgress: @escaping (Int) throws -> Void = { _ in }) {
        self.options = options
        self.onProgress = onProgress
    }

    /// - Parameter base: What is known beside the log; a pair that stands in both is merged, and the log's value stays.
    /// - Returns: The interactions; the items that users were shown and passed over, nil without `impressionWindow`; and all
    ///   events in the order of their times, nil without `keepsTimeline`.
    /// - Throws: `LogError`, `DatasetError` when there is no interaction, what `onProgress` throws.
    package func read(
        _ archive: LogArchive, base: Interactions? = nil
    ) throws -> (
        interactions: Interactions, report: LogImportReport, shown: ShownItems?, timeline: EventTimeline?
    ) {
        var pass = try LogPass(options)
        var seen = 0
        let found = try archive.read { event in
            pass.take(event)
            seen += 1
            if seen & 0xFFF == 0 { try onProgress(seen) }
        }
        pass.report.archive = found
        try check(pass.report, archive.path, hasBase: base != nil)
        return try pass.finish(base, path: archive.path)
    }

    private func check(_ report: LogImportReport, _ path: String, hasBase: Bool) throws(DatasetError) {
        guard report.pairs == 0, !hasBase || report.events == 0 else { return }
        let window = [
            options.since.map { "since \(EventTime.text($0))" }, options.until.map { "until \(EventTime.text($0))" },
        ]
        .compactMap { $0 }.joined(separator: " ")
        if report.archive.events == 0 {
            throw DatasetError(.empty, "\(path): there is no event in this log yet")
        }
        if report.events == 0 {
            throw DatasetError(
                .empty,
                "\(path): none of the \(report.archive.events.counted("event")) lies \(window); `martlet log info` shows their times"
            )
        }
        var why: [String] = []
        if report.impressions > 0 { why.append(report.impressions.counted("impression")) }
        if report.belowMinimum > 0 {
            why.append("\(report.belowMinimum.counted("rating")) below the minimum (--min-value)")
        }
        if report.ratingsWithoutValue > 0 {
            why.append(report.ratingsWithoutValue.counted("rating without a value", many: "ratings without a value"))
        }
        for (type, count) in report.unweighted.sorted(by: { $0.key < $1.key }) {
            why.append("\(count) of type '\(type)', which has no weight (--event-weights)")
        }
        throw DatasetError(
            .empty,
            "\(path): \(report.events.counted("event")), and none that makes an interaction\(why.isEmpty ? "" : ": \(why.joined(separator: ", "))")"
        )
    }
}

/// One reading of a log.
private struct LogPass {
    let options: LogImportOptions
    var report = LogImportReport()
    private var pairs = InteractionBuilder(hasValues: true, hasTimes: true)
    private var unwanted = InteractionBuilder(hasValues: false, hasTimes: false)
    private var collector: ImpressionCollector?
    private var timeline: EventTimelineBuilder?

    init(_ options: LogImportOptions) throws {
        self.options = options
        if options.keepsTimeline { timeline = EventTimelineBuilder(try options.weights.types()) }
        collector = options.impressionWindow.map { ImpressionCollector(window: $0) }
    }

    mutating func take(_ event: UserEvent) {
        guard event.timeMilliseconds >= options.since ?? 0, event.timeMilliseconds < options.until ?? .max else {
            report.outsideWindow += 1
            return
        }
        report.events += 1
        collector?.notice(event.timeMilliseconds)
        guard let weight = options.weights[event.type] else {
            let isNew = report.unweighted[event.type] == nil
            let name = isNew && report.unweighted.count >= LogImportReport.unweightedMax ? "(others)" : event.type
            report.unweighted[name, default: 0] += 1
            return
        }
        timeline?.add(
            user: event.user, item: event.item, type: event.type, time: Int64(clamping: event.timeMilliseconds))
        if event.type == EventWeights.impressionType {
            report.impressions += 1
            if weight == 0 { collector?.shown(event) }
        }
        if weight < 0 {
            unwanted.add(user: event.user, item: event.item)
            collector?.unwanted(event)
        }
        guard weight > 0 else { return }
        var value = weight
        if event.type == EventWeights.ratingType {
            guard let rating = event.value else {
                report.ratingsWithoutValue += 1
                return
            }
            guard Double(rating) >= options.minimumValue ?? .leastNonzeroMagnitude else {
                report.belowMinimum += 1
                return
            }
            value *= Double(rating)
        }
        collector?.answered(event)
        report.pairs += 1
        report.first = min(report.first ?? .max, event.timeMilliseconds)
        report.last = max(report.last ?? 0, event.timeMilliseconds)
        pairs.add(
            user: event.user, item: event.item, value: Float(value), time: Int64(clamping: event.timeMilliseconds))
    }

    mutating func finish(
        _ base: Interactions?, path: String
    ) throws(DatasetError) -> (
        interactions: Interactions, report: LogImportReport, shown: ShownItems?, timeline: EventTimeline?
    ) {
        var timeline = timeline
        self.timeline = nil
        if let base { timeline?.add(base) }
        var report = report
        let log = pairs.finish().interactions
        var all = log
        if let base {
            report.basePairs = base.count
            report.baseIsUndated = base.times == nil
            all = base.followed(by: log, undatedAt: Int64(clamping: report.first ?? options.until ?? 1) - 1)
        }
        if unwanted.pairCount > 0 { (all, report.unwanted) = all.removing(unwanted.finish().interactions) }
        guard all.count > 0 else {
            throw DatasetError(.empty, "\(path): every pair of user and item is one that the user did not want")
        }
        return (all.withoutEmptyRows(), report, collector?.finish(until: options.until), timeline?.finish())
    }
}

extension Interactions {
    /// These interactions and, behind them, those of `other`: pairs of both are merged as an import merges them.
    ///
    /// - Parameter undatedAt: When these happened, where they have no times and `other` has.
    func followed(by other: Interactions, undatedAt: Int64) -> Interactions {
        var builder = InteractionBuilder(hasValues: true, hasTimes: times != nil || other.times != nil)
        for part in [self, other] {
            for user in 0..<part.userCount {
                let name = part.users.string(UInt32(user))
                for place in part.range(of: user) {
                    let item = part.items.string(part.itemRows[place])
                    for _ in 0..<(part.repeats?[place] ?? 1) {
                        builder.add(
                            user: name, item: item, value: part.values[place], time: part.times?[place] ?? undatedAt)
                    }
                }
            }
        }
        return builder.finish().interactions
    }
}
