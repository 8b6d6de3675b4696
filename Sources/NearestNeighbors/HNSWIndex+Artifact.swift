import Artifacts
import VectorMath

/// A graph on disk: one tensor file of links, beside the vectors it was built over.
///
/// ```
///  metadata        kind "hnsw", version, metric, dimension, entry, m, ef_construction, seed, link_metric if another
///  layer0.links    U32 [rows, stride]       neighbours in ascending order of discovery; unused entries 4294967295
///  layerL.links    U32 [nodes, stride]      L = 1, 2 ...: neighbours as nodes of the same layer
///  layerL.rows     U32 [nodes]              the row of each node, ascending
///  layerL.down     U32 [nodes]              the same row's node in layer L - 1
/// ```
extension HNSWIndex {
    /// What `kind` says in the metadata of a graph file.
    private static let fileKind = "hnsw"
    private static let fileVersion = "1"

    /// Writes the graph as the tensor file `name` of a bundle.
    package func write(to bundle: BundleWriter, name: String) throws(ArtifactError) {
        try write(to: try bundle.file(name, metadata: fileMetadata))
    }

    /// Writes the graph as a tensor file of its own.
    package func write(path: String) throws(ArtifactError) {
        try write(to: try TensorFileWriter(path: path, metadata: fileMetadata))
    }

    private var fileMetadata: [String: String] {
        var metadata = [
            "kind": Self.fileKind, "version": Self.fileVersion, "metric": metric.rawValue,
            "dimension": String(dimension), "entry": String(graph.entry), "m": String(parameters.m),
            "ef_construction": String(parameters.efConstruction), "seed": String(parameters.seed),
        ]
        metadata["link_metric"] = parameters.linkMetric?.rawValue
        return metadata
    }

    private func write(to file: TensorFileWriter) throws(ArtifactError) {
        for (level, layer) in graph.layers.enumerated() {
            file.declare("layer\(level).links", .u32, shape: [layer.nodeCount, layer.linkStride])
            if layer.rows != nil { file.declare("layer\(level).rows", .u32, shape: [layer.nodeCount]) }
            if layer.down != nil { file.declare("layer\(level).down", .u32, shape: [layer.nodeCount]) }
        }
        for (level, layer) in graph.layers.enumerated() {
            let links = UnsafeBufferPointer(start: layer.links, count: layer.nodeCount * layer.linkStride)
            try file.append(links, to: "layer\(level).links")
            if let rows = layer.rows {
                try file.append(UnsafeBufferPointer(start: rows, count: layer.nodeCount), to: "layer\(level).rows")
            }
            if let down = layer.down {
                try file.append(UnsafeBufferPointer(start: down, count: layer.nodeCount), to: "layer\(level).down")
            }
        }
        try file.finish()
    }

    /// Opens the graph `name` of a bundle over the vectors it was built from; links are read where they are mapped.
    package convenience init(
        bundle: Bundle, name: String, vectors: FactorMatrix, copyLinks: Bool = false
    ) throws(ArtifactError) {
        try self.init(bundle: bundle, name: name, rows: .floats(vectors), copyLinks: copyLinks)
    }

    /// The same over those vectors in either precision.
    package convenience init(
        bundle: Bundle, name: String, rows: RowMatrix, copyLinks: Bool = false, graphRows: GraphRows = .auto
    ) throws(ArtifactError) {
        try self.init(file: try bundle.file(name), rows: rows, copyLinks: copyLinks, graphRows: graphRows)
    }

    /// Opens a graph file.
    package convenience init(file: TensorFile, vectors: FactorMatrix, copyLinks: Bool = false) throws(ArtifactError) {
        try self.init(file: file, rows: .floats(vectors), copyLinks: copyLinks)
    }

    /// Opens a graph file.
    ///
    /// Every link, map and the entry are checked against their ranges, so that no walk can leave the layers, whatever
    /// the bytes say.
    ///
    /// - Parameter copyLinks: Copy the links to huge-page memory instead of reading the mapped file: faster for big graphs.
    package convenience init(
        file: TensorFile, rows vectors: RowMatrix, copyLinks: Bool = false, graphRows: GraphRows = .auto
    ) throws(ArtifactError) {
        let (metric, parameters, entry) = try Self.readMetadata(file, vectors)
        let storage = HNSWStorage(keeping: file)
        var layers: [HNSWLayer] = []
        var level = 0
        while level == 0 || file.has("layer\(level).links") {
            guard level <= Self.levelMax else {
                throw ArtifactError(
                    .invalidContent, path: file.path, "the graph has more than \(Self.levelMax) upper layers")
            }
            layers.append(try Self.readLayer(file, level, vectors, below: layers.last, storage, copyLinks: copyLinks))
            level += 1
        }
        guard vectors.rowCount == 0 || entry < layers[level - 1].nodeCount else {
            throw ArtifactError(
                .invalidContent, path: file.path,
                "the entry \(entry) is not one of the \(layers[level - 1].nodeCount) nodes of the top layer")
        }
        let scorer: RowScorer
        do throws(IndexBuildError) {
            scorer = try RowScorer(rows: vectors, metric)
        } catch {
            throw ArtifactError(.invalidContent, path: file.path, "the vectors of the graph are unusable: \(error)")
        }
        self.init(
            scorer: scorer, graph: HNSWGraph(layers: layers, entry: UInt32(entry), owner: storage),
            parameters: parameters, graphRows: graphRows)
    }

    private static func readMetadata(
        _ file: TensorFile, _ vectors: RowMatrix
    ) throws(ArtifactError) -> (SimilarityMetric, HNSWParameters, Int) {
        func text(_ key: String) throws(ArtifactError) -> String {
            guard let value = file.metadata[key] else {
                throw ArtifactError(
                    .malformed, path: file.path, "its metadata has no \(key): not a graph of this program")
            }
            return value
        }
        func number<T: FixedWidthInteger>(_ key: String, _ range: ClosedRange<T>) throws(ArtifactError) -> T {
            let value = try text(key)
            guard let number = T(value), range.contains(number) else {
                throw ArtifactError(
                    .malformed, path: file.path,
                    "metadata \(key) is '\(value)', not a number from \(range.lowerBound) to \(range.upperBound)")
            }
            return number
        }
        let kind = try text("kind")
        guard kind == fileKind else {
            throw ArtifactError(.malformed, path: file.path, "its kind is '\(kind)', not '\(fileKind)'")
        }
        let version = try text("version")
        guard version == fileVersion else {
            throw ArtifactError(
                .newerFormat, path: file.path,
                "graph version \(version); this program reads \(fileVersion): build it again")
        }
        guard let metric = SimilarityMetric(rawValue: try text("metric")) else {
            throw ArtifactError(.malformed, path: file.path, "unknown metric '\(try text("metric"))'")
        }
        var linkMetric: SimilarityMetric?
        if let name = file.metadata["link_metric"] {
            linkMetric = SimilarityMetric(rawValue: name)
            if linkMetric == nil { throw ArtifactError(.malformed, path: file.path, "unknown metric '\(name)'") }
        }
        let dimension: Int = try number("dimension", 1...Int(Int32.max))
        guard dimension == vectors.columnCount else {
            throw ArtifactError(
                .wrongTensor, path: file.path,
                "the graph was built over \(dimension) dimensions, the vectors have \(vectors.columnCount)")
        }
        let parameters = HNSWParameters(
            m: try number("m", 2...128), efConstruction: try number("ef_construction", 1...10_000),
            seed: try number("seed", 0...UInt64.max), linkMetric: linkMetric)
        return (metric, parameters, try number("entry", 0...Int(Int32.max)))
    }

    private static func readLayer(
        _ file: TensorFile, _ level: Int, _ vectors: RowMatrix, below: HNSWLayer?, _ storage: HNSWStorage,
        copyLinks: Bool
    ) throws(ArtifactError) -> HNSWLayer {
        let name = "layer\(level)"
        let links = try file.tensor("\(name).links", .u32, shape: [level == 0 ? vectors.rowCount : nil, nil])
        let nodeCount = links.shape[0]
        let linkStride = links.shape[1]
        // 256 is what a search's buffers hold; 2 * m of the largest m.
        guard (16...256).contains(linkStride), linkStride % 16 == 0 else {
            throw ArtifactError(
                .wrongTensor, path: file.path,
                "\(name).links has \(linkStride) links per node; 16 to 256 in steps of 16")
        }
        guard level == 0 || nodeCount > 0 else {
            throw ArtifactError(.invalidContent, path: file.path, "\(name) has no nodes")
        }
        var linkWords = links.elements(as: UInt32.self)
        if copyLinks, !linkWords.isEmpty {
            let copy = storage.allocate(linkWords.count, filledWith: 0)
            if let base = linkWords.baseAddress { copy.update(from: base, count: linkWords.count) }
            linkWords = UnsafeBufferPointer(start: copy, count: linkWords.count)
            links.advise(.done)
        }
        for (place, link) in linkWords.enumerated() where link >= nodeCount && link != HNSWLayer.none {
            throw ArtifactError(
                .invalidContent, path: file.path,
                "\(name).links: node \(place / linkStride) links to \(link), and there are \(nodeCount) nodes; restore the file"
            )
        }
        var rows: UnsafePointer<UInt32>?
        var down: UnsafePointer<UInt32>?
        if let below {
            let rowWords = try file.tensor("\(name).rows", .u32, shape: [nodeCount]).elements(as: UInt32.self)
            let downWords = try file.tensor("\(name).down", .u32, shape: [nodeCount]).elements(as: UInt32.self)
            var last: UInt32?
            for node in 0..<nodeCount {
                let row = rowWords[node]
                let lower = downWords[node]
                guard lower < below.nodeCount, below.row(lower) == row, last.map({ $0 < row }) ?? true else {
                    throw ArtifactError(
                        .invalidContent, path: file.path,
                        "\(name): node \(node) stands for row \(row), which does not fit the layer below; restore the file"
                    )
                }
                last = row
            }
            rows = rowWords.baseAddress
            down = downWords.baseAddress
        }
        return HNSWLayer(
            nodeCount: nodeCount, linkStride: linkStride,
            links: linkWords.baseAddress ?? UnsafePointer(storage.allocate(linkStride, filledWith: HNSWLayer.none)),
            rows: rows, down: down)
    }
}
