/// What each form of an ensemble costs, from which the cheapest is taken for each call.
///
/// The figures are nanoseconds on one machine (2.6 GHz, AVX-512); only their ratios matter. Those of NEON are guessed
/// from those of AVX2.
struct TreeCosts: Sendable {
    private let sixteenRows: Double
    private let manyRows: Double
    private let rowAlone: Double
    private let walkOfRow: Double
    private let hasBitvectors: Bool

    /// Nanoseconds of an entry over up to 16 rows and over 64, of a slot over one row (and where its columns are more
    /// than the registers hold), of a step of the walk.
    private struct Figures {
        let sixteen: Double
        let many: Double
        let slot: Double
        let wideSlot: Double
        let step = 5.5
    }

    private static func figures(_ isa: String) -> Figures {
        switch isa {
        case "avx512": Figures(sixteen: 0.65, many: 1.15, slot: 2, wideSlot: 8.5)
        case "avx2": Figures(sixteen: 2, many: 3, slot: 4.5, wideSlot: 4.5)
        case "neon": Figures(sixteen: 4, many: 6, slot: 9, wideSlot: 9)
        default: Figures(sixteen: 4, many: 5, slot: 65, wideSlot: 65)
        }
    }

    init(_ parts: TreeParts, isa: String) {
        let figures = Self.figures(isa)
        let bitvectors = parts.bitvectors ?? TreeParts.Bitvectors()
        hasBitvectors = !bitvectors.pieces.isEmpty || parts.walk.roots.isEmpty
        let entries = bitvectors.pieces.reduce(0.0) { $0 + Double($1.entries) + 4 + 8 * Double($1.categoryCount) }
        sixteenRows = entries * figures.sixteen
        manyRows = entries * figures.many
        let slot = parts.features.count <= 128 ? figures.slot : figures.wideSlot
        let categories = bitvectors.categories.count
        rowAlone = Double(bitvectors.nanRight.count) * slot + Double(bitvectors.pieces.count + categories * 3)
        walkOfRow = parts.walk.stepsPerRow * figures.step
    }

    /// - Parameter rows: 1 to 64.
    func cheapest(rows: Int) -> TreeForm {
        guard hasBitvectors else { return .walk }
        let together = rows <= 16 ? sixteenRows : manyRows
        let alone = Double(rows) * rowAlone
        let walk = Double(rows) * walkOfRow
        if rows > 1, together <= alone, together <= walk { return .rowsTogether }
        return alone <= walk ? .rowAlone : .walk
    }
}
