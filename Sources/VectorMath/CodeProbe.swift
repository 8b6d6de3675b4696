import CKernels

/// A query in 8-bit codes, made to bound inner products with coded rows from above.
///
/// With `c` the row's codes, `s` its scale, `x = s * c + e` the row and `q = q' + d` the query, `q'` in codes:
/// `q.x = s * q'.c + q'.e + d.x`. The probe adds what the second term may be at most (`e` is `errorMax` scales long at
/// most); the third is at most `|d| |x|`, which `set` returns for its caller to take care of.
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

    /// Codes `coordinates` for rows that were rounded as `rounding` says.
    ///
    /// - Parameters:
    ///   - rest: The length of what a row's own rest is multiplied with.
    ///   - share: Takes that share of what rounding the rows may hide; 1 is proved.
    /// - Returns: The squared length of what rounding the query lost.
    mutating func set(
        _ coordinates: UnsafePointer<Float>, count: Int, against rounding: CodeRounding, rest: Float, share: Float
    ) -> Double {
        precondition(count <= capacity, "\(count) coordinates in a probe of \(capacity)")
        var largest: Float = 0
        for i in 0..<count { largest = max(largest, abs(coordinates[i])) }
        raw.groups = (count + 3) / 4
        raw.rest = rest
        codes.update(repeating: 0, count: raw.groups * 4)
        guard largest > 0 else {
            raw.scale = 0
            raw.bias = 0
            return 0
        }
        let scale = max(largest / 127, .leastNormalMagnitude)
        var sum = 0
        var square = 0
        var error = 0.0
        for i in 0..<count {
            let code = max(-127, min(127, (coordinates[i] / scale).rounded()))
            let whole = Int(code)
            codes[i] = Int8(whole)
            sum += whole
            square += whole * whole
            let miss = Double(coordinates[i]) - Double(code) * Double(scale)
            error += miss * miss
        }
        let slack = Double(square).squareRoot() * Double(rounding.errorMax) * Double(share)
        raw.scale = scale
        raw.bias = Int32(clamping: Int((slack * 1.0001).rounded(.up)) - rounding.zero * sum)
        return error
    }
}

/// How rows are rounded to codes, and what that did at worst.
struct CodeRounding: Sendable {
    /// Codes lie between `-limit` and `limit`.
    let limit: Float
    /// The code of zero, as stored.
    let zero: Int
    /// The longest difference between a row and its codes, in the row's scale, where rows do not tell it themselves.
    var errorMax: Float = 0

    static let bytes = CodeRounding(limit: 127, zero: 128)
    /// Half bytes; each row's rest holds what rounding it lost.
    static let nibbles = CodeRounding(limit: 7, zero: 8)

    /// Takes in what another part of the rows was rounded like.
    mutating func merge(_ other: CodeRounding) { errorMax = max(errorMax, other.errorMax) }

    /// Rounds `values` to codes in units of `scale` and hands each, as stored, to `place`.
    ///
    /// - Returns: The length of what that lost, in units of `scale`.
    func code(
        _ values: UnsafePointer<Float>, count: Int, scale: Float, place: (_ dimension: Int, _ code: UInt8) -> Void
    ) -> Float {
        var error = 0.0
        let inverse = scale > 0 ? 1 / scale : 0
        for i in 0..<count {
            let code = max(-limit, min(limit, (values[i] * inverse).rounded()))
            place(i, UInt8(Int(code) + zero))
            if scale > 0 {
                let miss = Double(values[i]) / Double(scale) - Double(code)
                error += miss * miss
            }
        }
        return Float(error.squareRoot()).nextUp
    }
}
