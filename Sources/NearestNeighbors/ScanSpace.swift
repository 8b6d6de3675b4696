import VectorMath

/// How rows and queries are moved so that one kind of bound serves every metric.
///
/// The kernels bound `t = q . x + offset(x)`:
///
/// | metric | x | q | offset | score |
/// |---|---|---|---|---|
/// | inner product | row * unit | query | 0 | t / unit |
/// | cosine | row / its length * unit | query / its length | 0 | t / unit |
/// | l2 | (row - centre) * unit | (query - centre) * unit | -x.x / 2 | 2 t / unit^2 - \|query - centre\|^2 |
///
/// `unit` is a power of two that brings the longest row near 256, where half precision has room on both sides.
struct ScanSpace {
    let metric: SimilarityMetric
    let dimension: Int
    let unit: Float
    /// Zeros but for l2.
    let centre: [Float]
    let axes: PrincipalAxes
    /// Which coordinates each level of codes holds.
    let levels: [Level]

    /// A level of codes: coordinates along a range of axes.
    struct Level {
        let form: CodeBlocks.Form
        let axes: Range<Int>

        /// Coordinates with those that fill up the last group.
        var dimensions: Int { (axes.count + form.groupDimensions - 1) / form.groupDimensions * form.groupDimensions }
    }

    /// Rows up to this dimension are turned onto a whole basis, whose last directions are coded in nibbles; longer ones
    /// take too long to turn and are coded row by row, as they are, behind their first coordinates.
    static let turnedDimensionMax = 256

    static func levels(dimension: Int) -> [Level] {
        if dimension <= 24 { return [Level(form: .bytes, axes: 0..<dimension)] }
        if dimension > turnedDimensionMax {
            return [Level(form: .bytes, axes: 0..<32), Level(form: .bytes, axes: 32..<64)]
        }
        let fine = dimension <= 40 ? 16 : 32
        var levels = [Level(form: .bytes, axes: 0..<16)]
        if fine > 16 { levels.append(Level(form: .bytes, axes: 16..<fine)) }
        return levels + [Level(form: .nibbles, axes: fine..<dimension)]
    }

    /// Whether the levels hold all coordinates.
    var isWhole: Bool { axes.count == dimension }

    init(_ scorer: RowScorer) {
        let rowCount = scorer.rowCount
        let dimension = scorer.dimension
        let room = UnsafeMutablePointer<Float>.allocate(capacity: dimension)
        defer { room.deallocate() }
        metric = scorer.metric
        self.dimension = dimension
        var centre = [Float](repeating: 0, count: dimension)
        if metric == .l2, rowCount > 0 {
            var sums = [Double](repeating: 0, count: dimension)
            let step = max(1, rowCount / 10_000)
            var count = 0.0
            for row in stride(from: 0, to: rowCount, by: step) {
                let values = scorer.floats(of: row, room)
                for i in 0..<dimension { sums[i] += Double(values[i]) }
                count += 1
            }
            centre = sums.map { Float($0 / count) }
        }
        self.centre = centre
        var longest = 1.0
        if metric != .cosine {
            longest = 0
            for row in 0..<rowCount {
                longest = max(longest, Self.length(scorer.floats(of: row, room), minus: centre))
            }
        }
        let exponent = longest > 0 && longest.isFinite ? 8 - Int(longest.exponent) : 0
        unit = Float(sign: .plus, exponent: max(-100, min(100, exponent)), significand: 1)
        levels = Self.levels(dimension: dimension)
        let isWhole = dimension <= Self.turnedDimensionMax
        let principal = levels.reduce(0) { $1.form == .bytes ? $1.axes.upperBound : $0 }
        let space = ScanSpace(
            metric: metric, dimension: dimension, unit: unit, centre: centre,
            axes: PrincipalAxes(rowCount: 0, dimension: dimension, count: 0) { _, _ in }, levels: [])
        axes = PrincipalAxes(
            rowCount: rowCount, dimension: dimension, count: principal, isComplete: isWhole
        ) { row, target in
            if let target = target.baseAddress { space.place(row, of: scorer, into: target) }
        }
    }

    init(
        metric: SimilarityMetric, dimension: Int, unit: Float, centre: [Float], axes: PrincipalAxes, levels: [Level]
    ) {
        self.metric = metric
        self.dimension = dimension
        self.unit = unit
        self.centre = centre
        self.axes = axes
        self.levels = levels
    }

    static func length(_ vector: UnsafePointer<Float>, minus centre: [Float]) -> Double {
        var square = 0.0
        for i in 0..<centre.count {
            let value = Double(vector[i]) - Double(centre[i])
            square += value * value
        }
        return square.squareRoot()
    }

    /// Writes x of the table above.
    func place(_ row: Int, of scorer: RowScorer, into target: UnsafeMutablePointer<Float>) {
        let source = scorer.floats(of: row, target)
        let scale = unit * (scorer.rowScale.map { $0[row] } ?? 1)
        if metric == .l2 {
            for i in 0..<dimension { target[i] = (source[i] - centre[i]) * scale }
        } else {
            for i in 0..<dimension { target[i] = source[i] * scale }
        }
    }
}
