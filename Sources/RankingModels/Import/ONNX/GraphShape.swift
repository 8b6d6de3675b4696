/// Counting over shapes, row-major.
enum GraphShape {
    /// - Throws: `ImportFault` for a shape that no tensor here may have.
    static func count(_ shape: [Int]) throws(ImportFault) -> Int {
        guard shape.count <= ImportLimits.rankMax else {
            throw ImportFault("the shape \(shape) has too many dimensions")
        }
        // Without its zeros too, so that no stride overflows.
        var count = 1
        for extent in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: max(extent, 1))
            guard extent >= 0, !overflow, product <= ImportLimits.onnxBytesMax else {
                throw ImportFault("the shape \(shape) is impossible")
            }
            count = product
        }
        return shape.contains(0) ? 0 : count
    }

    /// As `count`, for tensors that are computed.
    static func boundedCount(_ shape: [Int]) throws(ImportFault) -> Int {
        let count = try count(shape)
        guard count <= ImportLimits.elementsMax else {
            throw ImportFault(
                "its result has the shape \(shape); at most \(ImportLimits.elementsMax) elements are possible")
        }
        return count
    }

    /// An axis counted from the front.
    static func axis(_ axis: Int, rank: Int) throws(ImportFault) -> Int {
        guard (-rank..<rank).contains(axis) else {
            throw ImportFault("its axis \(axis) is none of a tensor of \(rank) dimensions")
        }
        return axis < 0 ? axis + rank : axis
    }

    static func axes(_ axes: [Int], rank: Int) throws(ImportFault) -> Set<Int> {
        var result: Set<Int> = []
        for axis in axes { result.insert(try self.axis(axis, rank: rank)) }
        return result
    }

    static func strides(_ shape: [Int]) -> [Int] {
        var strides = [Int](repeating: 1, count: shape.count)
        for place in shape.indices.dropLast().reversed() { strides[place] = strides[place + 1] * shape[place + 1] }
        return strides
    }

    /// The shape that both are stretched to.
    static func broadcast(_ a: [Int], _ b: [Int]) throws(ImportFault) -> [Int] {
        let rank = max(a.count, b.count)
        let (x, y) = (padded(a, rank), padded(b, rank))
        var shape: [Int] = []
        for (p, q) in zip(x, y) {
            guard p == q || p == 1 || q == 1 else {
                throw ImportFault("the shapes \(a) and \(b) do not fit each other")
            }
            shape.append(p == 1 ? q : p)
        }
        return shape
    }

    private static func padded(_ shape: [Int], _ rank: Int) -> [Int] {
        [Int](repeating: 1, count: rank - shape.count) + shape
    }

    /// For every element of `out`, the place of the element of `shape` that is stretched to it.
    static func places(of shape: [Int], stretchedTo out: [Int]) throws(ImportFault) -> [Int] {
        let count = try boundedCount(out)
        if shape == out { return Array(0..<count) }
        let from = padded(shape, out.count)
        let strides = zip(strides(from), from).map { $1 == 1 ? 0 : $0 }
        return places(out, strides: strides)
    }

    /// For every element of a tensor of shape `out`, the sum of its index times `strides`, plus `start`.
    ///
    /// - Precondition: `boundedCount(out)` throws nothing.
    static func places(_ out: [Int], strides: [Int], start: Int = 0) -> [Int] {
        var places = [start]
        for (extent, stride) in zip(out, strides) {
            var longer: [Int] = []
            longer.reserveCapacity(places.count * extent)
            for place in places {
                for index in 0..<extent { longer.append(place + index * stride) }
            }
            places = longer
        }
        return places
    }
}
