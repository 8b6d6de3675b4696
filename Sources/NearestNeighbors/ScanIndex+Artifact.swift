import Artifacts
import Synchronization
import VectorMath

/// A scan index on disk: one tensor file of codes, beside the vectors it was made from.
///
/// ```
///  metadata        kind "scan", version, metric, dimension
///  unit            F32 [1]                  rows are taken so many times as long
///  centre          F32 [dimension]          l2: taken off every row
///  axes            F32 [axes, dimension]    directions of the coordinates
///  order           U32 [rows]               position to row
///  lengths         F32 [blocks]             the longest row from each block on
///  levelL          U8 [blocks, bytes]       L = 0, 1 ...: see `CodeBlocks`
///  errors          F32 [levels]             what rounding lost at most; one more for the codes row by row
///  row_codes       U8 [rows, stride], row_scales F32 [rows]     more than 256 dimensions: see `CodeRows`
///  offsets         F32 [blocks * 16]        l2: what each row adds to its inner product
/// ```
extension ScanIndex {
    private static let fileKind = "scan"
    /// Changes with anything that codes or bounds mean.
    private static let fileVersion = "1"

    /// Writes the index as the tensor file `name` of a bundle.
    package func write(to bundle: BundleWriter, name: String) throws(ArtifactError) {
        try write(to: try bundle.file(name, metadata: fileMetadata))
    }

    /// Writes the index as a tensor file of its own.
    package func write(path: String) throws(ArtifactError) {
        try write(to: try TensorFileWriter(path: path, metadata: fileMetadata))
    }

    private var fileMetadata: [String: String] {
        [
            "kind": Self.fileKind, "version": Self.fileVersion, "metric": metric.rawValue, "dimension": "\(dimension)",
        ]
    }

    private func write(to file: TensorFileWriter) throws(ArtifactError) {
        let axes = space.axes.axes
        file.declare("unit", .f32, shape: [1])
        file.declare("centre", .f32, shape: [dimension])
        file.declare("axes", .f32, shape: [axes.rowCount, dimension])
        file.declare("order", .u32, shape: [rowCount])
        file.declare("lengths", .f32, shape: [order.blockCount])
        for (index, level) in bounds.levels.enumerated() {
            file.declare(
                "level\(index)", .u8,
                shape: [level.blockCount, CodeBlocks.blockBytes(level.dimensions, level.form)])
        }
        file.declare("errors", .f32, shape: [bounds.levels.count + (bounds.rows == nil ? 0 : 1)])
        if let rows = bounds.rows {
            file.declare("row_codes", .u8, shape: [rowCount, CodeRows.stride(dimension: dimension)])
            file.declare("row_scales", .f32, shape: [rows.rowCount])
        }
        if let offsets = bounds.offsets { file.declare("offsets", .f32, shape: [offsets.columnCount]) }

        try file.append([space.unit], to: "unit")
        try file.append(space.centre, to: "centre")
        for axis in 0..<axes.rowCount { try file.append(axes.row(axis), to: "axes") }
        try file.append(UnsafeBufferPointer(start: order.rows, count: rowCount), to: "order")
        try file.append(UnsafeBufferPointer(start: order.lengthsFrom, count: order.blockCount), to: "lengths")
        for (index, level) in bounds.levels.enumerated() { try file.append(level.bytes, to: "level\(index)") }
        try file.append(bounds.levels.map(\.errorMax) + (bounds.rows.map { [$0.errorMax] } ?? []), to: "errors")
        if let rows = bounds.rows {
            try file.append(rows.codeBytes, to: "row_codes")
            try file.append(rows.rowScales, to: "row_scales")
        }
        if let offsets = bounds.offsets { try file.append(offsets.row(0), to: "offsets") }
        try file.finish()
    }

    /// Opens the index `name` of a bundle over the vectors it was made from; codes are copied to huge-page memory.
    ///
    /// Nil for a file of another version: make the index anew.
    ///
    /// - Throws: Where the file is damaged, or was made from other vectors as far as a look at some of them tells.
    package convenience init?(
        bundle: Bundle, name: String, vectors: FactorMatrix, metric: SimilarityMetric, threads: Int
    ) throws(ArtifactError) {
        try self.init(file: try bundle.file(name), vectors: vectors, metric: metric, threads: threads)
    }

    /// Opens a file of an index.
    package convenience init?(
        file: TensorFile, vectors: FactorMatrix, metric: SimilarityMetric, threads: Int
    ) throws(ArtifactError) {
        guard let contents = try ScanFile(file, vectors, metric, threads: threads) else { return nil }
        self.init(scorer: contents.scorer, space: contents.space, bounds: contents.bounds, order: contents.order)
        try contents.compare(self)
    }

    fileprivate static func isOfThisVersion(_ file: TensorFile) throws(ArtifactError) -> Bool {
        guard file.metadata["kind"] == fileKind else {
            throw ArtifactError(
                .malformed, path: file.path,
                "its kind is '\(file.metadata["kind"] ?? "")', not '\(fileKind)'; publish or copy the bundle again")
        }
        return file.metadata["version"] == fileVersion
    }
}

/// What a file of a scan index holds, checked.
private struct ScanFile {
    let scorer: RowScorer
    let space: ScanSpace
    let bounds: ScoreBounds
    let order: ScanOrder
    private let file: TensorFile

    /// Nil for another version.
    init?(_ file: TensorFile, _ vectors: FactorMatrix, _ metric: SimilarityMetric, threads: Int) throws(ArtifactError) {
        guard try ScanIndex.isOfThisVersion(file) else { return nil }
        self.file = file
        let dimension = vectors.columnCount
        let rowCount = vectors.rowCount
        func damaged(_ fault: String) -> ArtifactError {
            ArtifactError(.invalidContent, path: file.path, "\(fault); publish or copy the bundle again")
        }
        guard file.metadata["metric"] == metric.rawValue, file.metadata["dimension"] == "\(dimension)" else {
            throw damaged(
                "it is for \(file.metadata["metric"] ?? "no metric") in \(file.metadata["dimension"] ?? "no") dimensions, "
                    + "the vectors are for \(metric.rawValue) in \(dimension)")
        }
        do throws(IndexBuildError) {
            scorer = try RowScorer(vectors, metric, threads: threads)
        } catch {
            throw damaged("the vectors of the index are unusable: \(error)")
        }
        let levels = ScanSpace.levels(dimension: dimension)
        let isWhole = dimension <= ScanSpace.turnedDimensionMax
        let axisCount = isWhole ? dimension : levels[levels.count - 1].axes.upperBound
        func numbers(_ name: String, _ shape: [Int]) throws(ArtifactError) -> [Float] {
            let values = try file.tensor(name, .f32, shape: shape).array(of: Float.self)
            guard values.allSatisfy(\.isFinite) else { throw damaged("\(name) holds a NaN or an infinity") }
            return values
        }
        let axes = try numbers("axes", [axisCount, dimension])
        let unit = try numbers("unit", [1])[0]
        guard unit > 0 else { throw damaged("unit is \(unit)") }
        space = ScanSpace(
            metric: metric, dimension: dimension, unit: unit, centre: try numbers("centre", [dimension]),
            axes: PrincipalAxes(
                axes: FactorMatrix(rowCount: axisCount, columnCount: dimension) { row, target in
                    for i in 0..<dimension { target[i] = axes[row * dimension + i] }
                }), levels: levels)

        order = try Self.order(file, rowCount, damaged)
        let blockCount = order.blockCount
        let errors = try numbers("errors", [levels.count + (isWhole ? 0 : 1)])
        guard errors.allSatisfy({ $0 >= 0 }) else { throw damaged("errors holds a negative number") }
        var blocks: [CodeBlocks] = []
        for (index, level) in levels.enumerated() {
            let bytes = CodeBlocks.blockBytes(level.dimensions, level.form)
            let tensor = try file.tensor("level\(index)", .u8, shape: [blockCount, bytes])
            blocks.append(
                withExtendedLifetime(file) {
                    CodeBlocks(
                        copying: tensor.bytes, blockCount: blockCount, dimensions: level.dimensions, form: level.form,
                        errorMax: errors[index], threads: threads)
                })
            // The copy is what is searched.
            tensor.advise(.done)
        }
        var rows: CodeRows?
        if !isWhole {
            let codes = try file.tensor(
                "row_codes", .u8, shape: [rowCount, CodeRows.stride(dimension: dimension)])
            let scales = try numbers("row_scales", [rowCount])
            rows = withExtendedLifetime(file) {
                scales.withUnsafeBufferPointer {
                    CodeRows(
                        copying: codes.bytes, scales: $0, dimension: dimension, errorMax: errors[levels.count],
                        threads: threads)
                }
            }
            codes.advise(.done)
        }
        var offsets: FactorMatrix?
        if metric == .l2 {
            let padded = max(blockCount * CodeBlocks.rowsPerBlock, 1)
            let values = try numbers("offsets", [padded])
            offsets = FactorMatrix(rowCount: 1, columnCount: padded) { _, target in
                for i in 0..<padded { target[i] = values[i] }
            }
        }
        bounds = ScoreBounds(rowCount: rowCount, levels: blocks, rows: rows, offsets: offsets)
    }

    private static func order(
        _ file: TensorFile, _ rowCount: Int, _ damaged: (String) -> ArtifactError
    ) throws(ArtifactError) -> ScanOrder {
        let blockCount = (rowCount + CodeBlocks.rowsPerBlock - 1) / CodeBlocks.rowsPerBlock
        let rows = try file.tensor("order", .u32, shape: [rowCount]).elements(as: UInt32.self)
        let lengths = try file.tensor("lengths", .f32, shape: [blockCount]).elements(as: Float.self)
        // Each row once: one that stood twice would be shown twice.
        var seen = [UInt64](repeating: 0, count: (rowCount + 63) / 64)
        for row in rows {
            guard row < rowCount, seen[Int(row >> 6)] >> UInt64(row & 63) & 1 == 0 else {
                throw damaged("order does not hold each of the \(rowCount) rows once")
            }
            seen[Int(row >> 6)] |= 1 << UInt64(row & 63)
        }
        guard lengths.allSatisfy({ $0.isFinite && $0 >= 0 }), zip(lengths, lengths.dropFirst()).allSatisfy({ $0 >= $1 })
        else { throw damaged("lengths do not fall") }
        return ScanOrder(borrowing: rows, lengthsFrom: lengths.baseAddress ?? ScanOrder.nothing(), owner: file)
    }

    /// Rows that are looked at to see whether the codes are theirs.
    private static let comparedRows = 64

    /// Searches for some of the rows by themselves: their own bounds must let them through.
    func compare(_ index: ScanIndex) throws(ArtifactError) {
        let rowCount = index.rowCount
        let scan = RunningScan(index)
        let hits = UnsafeMutablePointer<UInt32>.allocate(capacity: 2 * CodeBlocks.rowsPerBlock)
        let vector = UnsafeMutablePointer<Float>.allocate(capacity: index.dimension)
        defer {
            hits.deallocate()
            vector.deallocate()
        }
        for n in 0..<min(Self.comparedRows, rowCount) {
            let position = n * rowCount / min(Self.comparedRows, rowCount)
            let row = order.rows[position]
            scan.set(index.scorer.floats(of: Int(row), vector), confidence: 1)
            var id = row
            var score: Float = 0
            index.scorer.score(scan.query, ids: &id, count: 1, into: &score)
            guard score.isFinite else { continue }
            let block = position / CodeBlocks.rowsPerBlock
            let bar = scan.bar(threshold: score, lengthMax: order.lengthsFrom[block])
            let count = index.bounds.scan(scan.probes, blocks: block..<block + 1, threshold: bar, into: hits)
            guard UnsafeBufferPointer(start: hits, count: count).contains(UInt32(position)) else {
                throw ArtifactError(
                    .invalidContent, path: file.path,
                    "the codes of row \(row) are not those of its vector; publish or copy the bundle again")
            }
        }
    }
}
