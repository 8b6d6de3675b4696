import Artifacts
import Features
import Foundation
import RankingModels
import VectorMath

/// How many rows per second does a network score, on one thread, in which precision?
package struct NetworkBench {
    /// What one way of scoring costs.
    package struct Point: Sendable {
        package let way: String
        package let precision: LayerPrecision
        package let batch: Int
        /// Median over the rounds.
        package let microsecondsPerCall: Double
        package var rowsPerSecond: Double { Double(batch) / microsecondsPerCall * 1e6 }

        package var text: String {
            let call = (microsecondsPerCall * 10).rounded() / 10
            return
                "\(way), \(precision.rawValue), batch \(batch): \(Int(rowsPerSecond.rounded())) rows/s, \(call) us a call"
        }
    }

    private let ranker: NetworkRanker
    private let layout: FeatureLayout
    private let rows: FeatureRows
    package var rowCount: Int { rows.count }

    /// - Parameters:
    ///   - ranker: A ranker's file.
    ///   - rows: A safetensors file of `ids` (U32, `[rows, categorical fields]`, rows of each field's own table) and `dense`
    ///     (F32, `[rows, dense fields]`); nil: random rows.
    package init(ranker path: String, rows file: String?) throws {
        ranker = try NetworkRanker(TensorFile(path: path))
        layout = FeatureLayout(ranker.schema)
        rows = FeatureRows(layout)
        if let file {
            try read(TensorFile(path: file))
        } else {
            var random = SystemRandomNumberGenerator()
            for _ in 0..<16_384 {
                add(
                    ids: layout.categorical.map { UInt32.random(in: 0..<UInt32($0.tableRows), using: &random) },
                    dense: layout.dense.map { _ in Float.random(in: -1...1, using: &random) })
            }
        }
    }

    private func read(_ file: TensorFile) throws {
        let ids = try file.tensor("ids", .u32, shape: [nil, layout.categorical.count])
        let dense = try file.tensor("dense", .f32, shape: [ids.shape[0], layout.dense.count])
        let (idValues, denseValues) = (ids.array(of: UInt32.self), dense.array(of: Float.self))
        for row in 0..<ids.shape[0] {
            let (first, number) = (row * layout.categorical.count, row * layout.dense.count)
            let own = Array(idValues[first..<first + layout.categorical.count])
            guard zip(own, layout.categorical).allSatisfy({ Int($0) < $1.tableRows }) else {
                throw ArtifactError(
                    .invalidContent, path: file.path, "row \(row) names a row that a table does not have")
            }
            add(ids: own, dense: Array(denseValues[number..<number + layout.dense.count]))
        }
    }

    private func add(ids: [UInt32], dense: [Float]) {
        let row = rows.append()
        for (field, id) in ids.enumerated() {
            rows.set(row, categorical: field, to: UInt32(layout.categorical[field].tableOffset) + id)
        }
        for (number, value) in dense.enumerated() { rows.set(row, dense: number, to: value) }
    }

    package var heading: String {
        "\(layout.categorical.count) categorical x \(ranker.weights.shape.embeddingWidth), \(layout.dense.count) dense, layers "
            + "\(ranker.weights.shape.hidden); \(rowCount) rows; \(Kernels.isa), \(LayerPrecision.supported.map(\.rawValue))"
    }

    /// The logits of all rows.
    package func logits(_ precision: LayerPrecision) -> [Float] {
        let network = Network(ranker.weights, layout: layout, precision: precision)
        let scratch = NetworkScratch(network)
        var out = [Float](repeating: 0, count: rowCount)
        out.withUnsafeMutableBufferPointer {
            if let base = $0.baseAddress { network.score(rows, 0..<rowCount, scratch, into: base) }
        }
        return out
    }

    /// Times whole rows, `batch` to a call.
    package func measure(
        _ precision: LayerPrecision, batch: Int, halfTables: Bool, rounds: Int, seconds: Double
    ) -> Point {
        let network = Network(ranker.weights, layout: layout, precision: precision, halfTables: halfTables)
        let scratch = NetworkScratch(network)
        let batch = min(batch, rowCount)
        let out = UnsafeMutablePointer<Float>.allocate(capacity: batch)
        defer { out.deallocate() }
        var place = 0
        let microseconds = Self.time(rounds, seconds) {
            network.score(rows, place..<place + batch, scratch, into: out)
            place = (place + batch) % max(1, rowCount - batch)
        }
        return Point(way: "rows", precision: precision, batch: batch, microsecondsPerCall: microseconds)
    }

    /// Times the ranking of `batch` items for one user: the second half of the fields is the items', made ready before, the
    /// first half the user's, computed once a call.
    package func measureRanking(
        _ precision: LayerPrecision, batch: Int, rounds: Int, seconds: Double
    ) -> Point? {
        var schema = ranker.schema
        for field in schema.fields.indices {
            let isItem: Bool
            if let at = layout.categorical.firstIndex(where: { $0.field == field }) {
                isItem = at >= layout.categorical.count / 2
            } else {
                isItem = (layout.dense.firstIndex { $0.field == field } ?? 0) >= layout.dense.count / 2
            }
            schema.fields[field].side = isItem ? .item : .user
        }
        let sided = FeatureLayout(schema)
        let items = FeatureRows(sided, capacity: rowCount)
        for row in 0..<rowCount {
            items.append()
            (items.ids + row * sided.categorical.count).update(
                from: rows.ids + row * sided.categorical.count, count: sided.categorical.count)
            (items.dense + row * sided.dense.count).update(
                from: rows.dense + row * sided.dense.count, count: sided.dense.count)
        }
        let network = Network(ranker.weights, layout: sided, precision: precision)
        guard
            let split = SplitNetwork(ranker.weights, of: network, items: items, isHalf: precision != .f32)
        else { return nil }
        let (scratch, request) = (SplitScratch(split), SplitRequest(split))
        let out = UnsafeMutablePointer<Float>.allocate(capacity: batch)
        defer { out.deallocate() }
        var random = SystemRandomNumberGenerator()
        let lists = (0..<64).map { _ in
            (0..<batch).map { _ in UInt32.random(in: 0..<UInt32(rowCount), using: &random) }
        }
        let users = (0..<64).map { _ in
            let own = FeatureRows(sided, capacity: 1)
            own.append(copying: Int.random(in: 0..<rowCount, using: &random), of: items)
            return own
        }
        var call = 0
        let microseconds = Self.time(rounds, seconds) {
            split.begin([request], users[call % users.count], scratch)
            lists[call % lists.count].withUnsafeBufferPointer { list in
                var first = 0
                while first < batch {
                    let end = min(first + Network.rowsTogether, batch)
                    let own = SplitNetwork.Seat(
                        request: request, items: UnsafeBufferPointer(rebasing: list[first..<end]), numbers: out)
                    split.score([own], scratch, into: out + first)
                    first = end
                }
            }
            call += 1
        }
        return Point(way: "one user", precision: precision, batch: batch, microsecondsPerCall: microseconds)
    }

    /// Median microseconds of a call.
    private static func time(_ rounds: Int, _ seconds: Double, _ body: () -> Void) -> Double {
        func calls(_ count: Int) -> Double {
            let start = ContinuousClock.now
            for _ in 0..<count { body() }
            return (ContinuousClock.now - start) / .seconds(1)
        }
        var count = 1
        while calls(count) < seconds / 4, count < 1 << 24 { count *= 2 }
        let times = (0..<rounds).map { _ in calls(count * 2) / Double(count * 2) }.sorted()
        return times[times.count / 2] * 1e6
    }
}
