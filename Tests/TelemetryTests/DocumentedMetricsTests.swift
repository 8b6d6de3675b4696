import TestSupport
import Testing

@testable import Telemetry

@Suite struct DocumentedMetricsTests {
    @Test func `the README lists every metric with its labels and its help`() throws {
        let documented = Set(try Repository.lines(of: "README.md", startingWith: "| `"))
        for metric in MetricCatalogue.all {
            let labels = metric.labels.map { "`\($0)`" }.joined(separator: ", ")
            let row = "| `\(metric.name)` | \(labels) | \(metric.help.dropLast()) |"
            #expect(documented.contains(row), "README.md lacks: \(row)")
        }
    }
}
