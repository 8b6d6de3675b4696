/// One line of the catalogue: everything a scraper or a reader of a dashboard needs to know of a metric.
package struct Metric: Sendable, Hashable {
    package enum Kind: String, Sendable {
        case counter, gauge, histogram
        /// A gauge that is always 1 and carries text in its labels.
        case info
    }

    package enum Unit: String, Sendable {
        case none = ""
        case seconds, bytes
    }

    /// As Prometheus' text format spells it: counters end in `_total`, infos in `_info`, units stand before that.
    package let name: String
    package let help: String
    package let kind: Kind
    package let unit: Unit
    /// Names of the labels, in the order in which samples give their values.
    package let labels: [String]

    package init(_ name: String, _ kind: Kind, unit: Unit = .none, labels: [String] = [], help: String) {
        self.name = name
        self.help = help
        self.kind = kind
        self.unit = unit
        self.labels = labels
    }

    /// The family's name in OpenMetrics, where `_total` and `_info` belong to the sample and not to the family.
    package var family: String {
        switch kind {
        case .counter: name.hasSuffix("_total") ? String(name.dropLast("_total".count)) : name
        case .info: name.hasSuffix("_info") ? String(name.dropLast("_info".count)) : name
        case .gauge, .histogram: name
        }
    }
}
