import Artifacts
import CandidateRanking
import FactorModels
import NearestNeighbors
import RankingModels
import Retrieval

/// What decides how much memory a model takes: counts and sizes, guessed or read from a bundle.
package struct MemoryShape: Sendable, Equatable {
    package var users = 1_000_000
    package var items = 100_000
    package var rank = 64
    /// Kinds of factors: 0, 1 or 2.
    package var factorKinds = 1
    /// Entries of all users' histories in the model.
    package var historyEntries = 20_000_000
    package var historyHasTimes = false
    /// Bytes of an ID, on average.
    package var userIDBytes = 8.0
    package var itemIDBytes = 7.0
    package var titleBytes = 0.0
    /// Bytes of what else the catalogue's file holds of items, and of the indexes over it.
    package var attributeBytes = 0
    /// Entries of the item-to-item lists; nil: there are none.
    package var neighborEntries: Int?
    /// Links of a node of the graph on its upper layers; nil: no graph.
    package var graphM: Int?
    /// Of the ranker as it is served; 0: none.
    package var rankerBytes = 0
    package var rankerHasLiveItems = false
    /// Its weights as they are read.
    package var rankerFileBytes = 0

    package init() {}

    /// Reads what a bundle's manifest and the headers of its files say; the contents stay where they are.
    ///
    /// - Throws: `ArtifactError`.
    package init(bundle path: String, _ configuration: ServerConfiguration) throws {
        let bundle = try Bundle(opening: path, verify: .sizes)
        users = bundle.manifest.counts.users
        items = bundle.manifest.counts.items
        func count(_ file: TensorFile, _ tensor: String) -> Int {
            file.describe(tensor).map { $0.shape.reduce(1, *) } ?? 0
        }
        let directory = try bundle.file("users")
        userIDBytes = Double(count(directory, "ids.bytes")) / Double(max(1, users))
        historyEntries = count(directory, "history.items")
        historyHasTimes = directory.has("history.times")
        let catalogue = try bundle.file("items")
        itemIDBytes = Double(count(catalogue, "ids.bytes")) / Double(max(1, items))
        titleBytes = Double(count(catalogue, "titles.bytes")) / Double(max(1, items))
        attributeBytes = Self.attributeBytes(catalogue, items: items)
        factorKinds = 0
        for kind in FactorKind.allCases where bundle.has(kind.rawValue) {
            let file = try bundle.file(kind.rawValue)
            factorKinds += 1
            rank = file.describe("user_factors").flatMap { $0.shape.last } ?? rank
            if bundle.has("\(kind.rawValue).hnsw") {
                graphM = try bundle.file("\(kind.rawValue).hnsw").metadata["m"].flatMap { Int($0) }
            }
        }
        if bundle.has("item_to_item") { neighborEntries = count(try bundle.file("item_to_item"), "rows") }
        if bundle.has(RankerArtifact.fileName) { try readRanker(bundle.file(RankerArtifact.fileName), configuration) }
    }

    /// Takes a ranker's file.
    ///
    /// - Throws: `ArtifactError`.
    package mutating func readRanker(_ file: TensorFile, _ configuration: ServerConfiguration) throws {
        let ranker = try RankerArtifact(file)
        rankerBytes = CandidateRanker.byteCount(
            ranker, items: items,
            calibration: RankerCalibration(
                precision: configuration.rankerPrecision, itemBytesMax: configuration.rankerItemBytes))
        rankerFileBytes = file.fileBytes
        rankerHasLiveItems = LiveNeeds(ranker.schema).items
    }

    /// Of tags, attributes and windows: what the file holds of them, and as much for the lists by value that are made of it.
    private static func attributeBytes(_ file: TensorFile, items: Int) -> Int {
        var bytes = 0
        for name in file.names
        where name.hasPrefix("attribute") || name.hasPrefix("item_tags") || name.hasPrefix("tags")
            || name.hasPrefix("available")
        {
            guard let (type, shape) = file.describe(name), name != "item_tags.offsets" else { continue }
            let count = shape.reduce(1, *)
            bytes += count * type.byteCount
            // Rows by value, in the order of numbers, or of windows.
            if name.hasSuffix(".item_values") || name == "item_tags.tags" { bytes += count * 4 }
            if name.hasSuffix(".numbers") || name.hasPrefix("available") { bytes += count * 4 }
        }
        return bytes
    }
}
