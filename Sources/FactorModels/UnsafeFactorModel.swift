import Artifacts
import VectorMath

/// Where the factors of a model come from.
package enum FactorKind: String, Codable, Sendable, CaseIterable {
    case als
    case spectral
}

/// A vector for each user and each item; the inner product is the score.
///
/// Users are many and only read one at a time, so they are IEEE halves; items are searched and are Float32. The file
/// `als.safetensors` or `spectral.safetensors` holds
///
/// ```
/// item_factors  F32  [items, stride]   the first `rank` of each row count (metadata "rank"); the rest is zero
/// user_factors  F16  [users, rank]
/// ```
/// `@unchecked Sendable`: the memory is sealed and kept alive by its owners.
package struct FactorModel: @unchecked Sendable {
    package let kind: FactorKind
    package let rank: Int
    package private(set) var itemFactors: FactorMatrix
    /// The file's own item factors, where `itemFactors` reads them.
    private var mappedItems: Tensor?
    /// How a user is solved for from what the user had; nil where the file does not tell, and for spectral factors.
    package let foldIn: FoldInParameters?
    package let userCount: Int
    private let userHalves: UnsafePointer<UInt16>
    private let userOwner: any AnyObject & Sendable

    package var itemCount: Int { itemFactors.rowCount }
    /// Bytes of the user factors, for the memory account.
    package var userFactorByteCount: Int { Self.userFactorByteCount(users: userCount, rank: rank) }

    package static func userFactorByteCount(users: Int, rank: Int) -> Int { users * rank * 2 }

    /// Seals fitted factors. Values beyond what a half can hold are clamped.
    package init(kind: FactorKind, users: DenseMatrix, items: DenseMatrix, foldIn: FoldInParameters? = nil) {
        precondition(users.columnCount == items.columnCount, "ranks \(users.columnCount) and \(items.columnCount)")
        self.kind = kind
        self.foldIn = foldIn
        rank = items.columnCount
        itemFactors = items.sealed()
        userCount = users.rowCount
        let halves = HalfRows(users)
        userHalves = UnsafePointer(halves.base)
        userOwner = halves
    }

    /// The same model with its item factors in memory of its own, on huge pages where they are long: searches walk all over
    /// them, and mapped files do not lie so.
    package func withOwnItemFactors(threads: Int) -> FactorModel {
        var model = self
        model.itemFactors = itemFactors.copiedToOwnMemory(threads: threads)
        mappedItems?.advise(.done)
        model.mappedItems = nil
        return model
    }

    /// Gives the memory of a file's item factors back: they are not searched. They can be read all the same.
    package func adviseItemFactorsDone() { mappedItems?.advise(.done) }

    /// Copies the factor of user `row` into `out`, which holds `rank` floats.
    ///
    /// - Complexity: O(rank); allocates nothing.
    package func userFactor(_ row: UInt32, into out: UnsafeMutableBufferPointer<Float>) {
        precondition(Int(row) < userCount && out.count == rank, "user \(row) of \(userCount), room for \(out.count)")
        guard let target = out.baseAddress else { return }
        Kernels.widen(userHalves + Int(row) * rank, count: rank, into: target)
    }

    /// Touches the memory of users `rows`, so that their first request does not wait for the disk.
    package func prefaultUsers(_ rows: Range<Int>) {
        precondition(rows.lowerBound >= 0 && rows.upperBound <= userCount, "users \(rows) of \(userCount)")
        var sum: UInt16 = 0
        for at in stride(from: rows.lowerBound * rank, to: rows.upperBound * rank, by: 2048) {
            sum ^= UnsafeRawPointer(userHalves + at).load(as: UInt16.self)
        }
        withExtendedLifetime(sum) {}
    }

    /// Writes the file of this kind.
    package func write(to bundle: BundleWriter) throws {
        var metadata = foldIn?.metadata ?? [:]
        metadata["kind"] = kind.rawValue
        metadata["rank"] = String(rank)
        let writer = try bundle.file(kind.rawValue, metadata: metadata)
        writer.declare("item_factors", .f32, shape: [itemCount, itemFactors.stride])
        writer.declare("user_factors", .f16, shape: [userCount, rank])
        try writer.append(
            UnsafeBufferPointer(start: itemFactors.base, count: itemCount * itemFactors.stride), to: "item_factors")
        try writer.append(UnsafeBufferPointer(start: userHalves, count: userCount * rank), to: "user_factors")
        try writer.finish()
    }

    /// Reads the file of `kind`, used where it lies.
    ///
    /// - Throws: `ArtifactError` when a tensor is missing, misshapen, or holds what is not a number.
    package init(bundle: Bundle, kind: FactorKind) throws(ArtifactError) {
        let file = try bundle.file(kind.rawValue)
        let items = try file.tensor("item_factors", .f32, shape: [nil, nil])
        guard let text = file.metadata["rank"], let rank = Int(text), rank >= 1, rank <= items.shape[1] else {
            throw ArtifactError(
                .invalidContent, path: file.path,
                "its metadata says rank \(file.metadata["rank"] ?? "nothing"); item_factors has rows of \(items.shape[1])"
            )
        }
        let users = try file.tensor("user_factors", .f16, shape: [nil, rank])
        let halves = users.elements(as: UInt16.self)
        guard items.shape[0] > 0, users.shape[0] > 0, let base = items.elements(as: Float.self).baseAddress,
            let first = halves.baseAddress
        else {
            throw ArtifactError(.invalidContent, path: file.path, "it has no items or no users")
        }
        let matrix = FactorMatrix(
            borrowing: base, rowCount: items.shape[0], columnCount: rank, stride: items.shape[1], owner: items.owner)
        let threads = Parallel.coreCount
        // A half whose exponent bits are all set is infinite or no number.
        guard matrix.isFinite(threads: threads), halves.allSatisfy({ $0 & 0x7c00 != 0x7c00 }) else {
            throw ArtifactError(.invalidContent, path: file.path, "a factor is infinite or not a number; train again")
        }
        foldIn = kind == .als ? try FoldInParameters(metadata: file.metadata, path: file.path) : nil
        self.kind = kind
        self.rank = rank
        itemFactors = matrix
        mappedItems = items
        userCount = users.shape[0]
        userHalves = first
        userOwner = users.owner
    }
}

/// Rows narrowed to halves, without padding. `@unchecked Sendable`: nothing is written after `init`.
private final class HalfRows: @unchecked Sendable {
    let base: UnsafeMutablePointer<UInt16>

    init(_ rows: DenseMatrix) {
        let count = max(rows.rowCount * rows.columnCount, 1)
        base = AlignedMemory.allocate(byteCount: count * 2).bindMemory(to: UInt16.self, capacity: count)
        var clamped = [Float](repeating: 0, count: rows.columnCount)
        for row in 0..<rows.rowCount {
            for (n, value) in rows.row(row).enumerated() { clamped[n] = min(max(value, -65504), 65504) }
            Kernels.narrow(clamped, count: clamped.count, into: base + row * rows.columnCount)
        }
    }

    deinit { base.deallocate() }
}
