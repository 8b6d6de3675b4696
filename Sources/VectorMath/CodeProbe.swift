import CKernels

/// A query in 8-bit codes, made to bound inner products with coded rows from above.
///
/// With `c` the row's codes, `s` its scale and `q` the query's coordinates, `q.x <= (q'.c + slack) * scale * s` where
/// `slack` holds what rounding the row (`errorMax` scales at most) and the query may have hidden.
package struct CodeProbe {
    private let codes: UnsafeMutablePointer<Int8>
    private let capacity: Int
    private(set) var raw: ck_probe

    /// Room for `dimensions` codes; `deallocate` gives it back.
    init(dimensions: Int) {
        capacity = (dimensions + 63) / 64 * 64
        codes = .allocate(capacity: capacity)
        codes.update(repeating: 0, count: capacity)
        raw = ck_probe(codes: UnsafePointer(codes), groups: 0, bias: 0, scale: 0, rest: 0)
    }

    func deallocate() { codes.deallocate() }

    /// Codes `coordinates` for rows that were rounded as `rounding` says; `rest` is the length of what the coordinates leave out.
    mutating func set(
        _ coordinates: UnsafePointer<Float>, count: Int, against rounding: CodeRounding, rest: Float
    ) {
        precondition(count <= capacity, "\(count) coordinates in a probe of \(capacity)")
        var largest: Float = 0
        var square = 0.0
        for i in 0..<count {
            largest = max(largest, abs(coordinates[i]))
            square += Double(coordinates[i]) * Double(coordinates[i])
        }
        raw.groups = (count + 3) / 4
        raw.rest = rest
        codes.update(repeating: 0, count: raw.groups * 4)
        guard largest > 0 else {
            raw.scale = 0
            raw.bias = 0
            return
        }
        let scale = max(largest / 127, .leastNormalMagnitude)
        var sum = 0
        var error = 0.0
        for i in 0..<count {
            let code = (coordinates[i] / scale).rounded()
            codes[i] = Int8(max(-127, min(127, code)))
            sum += Int(codes[i])
            let miss = Double(coordinates[i]) - Double(codes[i]) * Double(scale)
            error += miss * miss
        }
        let slack =
            (error.squareRoot() * Double(rounding.codeLengthMax) + square.squareRoot() * Double(rounding.errorMax))
            / Double(scale)
        raw.scale = scale
        raw.bias = Int32(clamping: Int((slack * 1.0001).rounded(.up)) - 128 * sum)
    }
}

/// What rounding rows to codes did at worst.
struct CodeRounding: Sendable {
    /// The longest difference between a row and its codes, in the row's scale.
    var errorMax: Float = 0
    /// The longest row of codes.
    var codeLengthMax: Float = 0

    /// Takes in what another part of the rows was rounded like.
    mutating func merge(_ other: CodeRounding) {
        errorMax = max(errorMax, other.errorMax)
        codeLengthMax = max(codeLengthMax, other.codeLengthMax)
    }

    /// Rounds `values` to codes in units of `scale`, plus 128, and hands each to `place`.
    mutating func code(
        _ values: UnsafePointer<Float>, count: Int, scale: Float, place: (_ dimension: Int, _ code: UInt8) -> Void
    ) {
        var error = 0.0
        var length = 0.0
        let inverse = scale > 0 ? 1 / scale : 0
        for i in 0..<count {
            let code = max(-127, min(127, (values[i] * inverse).rounded()))
            place(i, UInt8(Int(code) + 128))
            if scale > 0 {
                let miss = Double(values[i]) / Double(scale) - Double(code)
                error += miss * miss
            }
            length += Double(code) * Double(code)
        }
        errorMax = max(errorMax, Float(error.squareRoot()).nextUp)
        codeLengthMax = max(codeLengthMax, Float(length.squareRoot()).nextUp)
    }
}
