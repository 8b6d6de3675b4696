import FactorModels
import Features
import VectorMath

/// The embeddings and linear weights of all fields under training, with Adam's means.
///
/// A step touches few rows, so only those are moved ("lazy" Adam): their means do not fade while nobody asks for them.
final class TrainedTable {
    let width: Int
    private let hasLinear: Bool
    private let layout: FeatureLayout
    private(set) var values: UnsafeMutablePointer<Float>
    private let first: UnsafeMutablePointer<Float>
    private let second: UnsafeMutablePointer<Float>
    /// Weight, first and second mean of each row.
    private let linear: UnsafeMutablePointer<Float>
    /// The place of a row among those that a step touches, and in which step that was.
    private let places: UnsafeMutablePointer<UInt32>
    private let stamps: UnsafeMutablePointer<UInt32>

    init(
        _ layout: FeatureLayout, width: Int, hasLinear: Bool, scale: Float, random: inout NormalDeviates
    ) {
        self.layout = layout
        self.width = width
        self.hasLinear = hasLinear
        func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
            let base = AlignedMemory.allocate(byteCount: max(count, 1) * 4)
                .bindMemory(to: Float.self, capacity: max(count, 1))
            base.update(repeating: 0, count: max(count, 1))
            return base
        }
        let rows = layout.tableRows
        values = floats(rows * width)
        first = floats(rows * width)
        second = floats(rows * width)
        linear = floats(hasLinear ? rows * 3 : 0)
        for at in 0..<(rows * width) { values[at] = random.next() * scale }
        places = .allocate(capacity: max(rows, 1))
        stamps = .allocate(capacity: max(rows, 1))
        stamps.update(repeating: 0, count: max(rows, 1))
    }

    deinit {
        values.deallocate()
        first.deallocate()
        second.deallocate()
        linear.deallocate()
        places.deallocate()
        stamps.deallocate()
    }

    func linearWeight(_ row: UInt32) -> Float { linear[Int(row)] }

    var trainedTable: [Float] { Array(UnsafeBufferPointer(start: values, count: layout.tableRows * width)) }
    var trainedLinear: [Float] {
        hasLinear ? Array(UnsafeBufferPointer(start: linear, count: layout.tableRows)) : []
    }

    /// Gradients of the rows that one field's examples touch.
    final class Room {
        fileprivate var rows: [UInt32] = []
        fileprivate var sums: [Float] = []
        fileprivate var linear: [Float] = []
    }

    /// Moves the rows that a batch names in one field.
    ///
    /// - Parameters:
    ///   - number: The step's, from 1.
    ///   - examples: Rows of `data`.
    ///   - gradients: The derivative by the network's input, `stride` floats from example to example; nil without embeddings.
    ///   - logits: The derivative by the logit.
    /// - Complexity: O(values * width). Fields may be done by several threads at once: they share no row.
    func update(
        field: Int, number: UInt32, data: FeatureRows, examples: ArraySlice<Int32>,
        gradients: UnsafePointer<Float>?, stride: Int, logits: UnsafePointer<Float>, _ step: AdamStep,
        linearStep: AdamStep, _ room: Room
    ) {
        room.rows.removeAll(keepingCapacity: true)
        room.sums.removeAll(keepingCapacity: true)
        room.linear.removeAll(keepingCapacity: true)
        let fields = layout.categorical.count
        let bag = data.bagFields.firstIndex(of: field)
        for (place, example) in examples.enumerated() {
            let gradient = gradients.map { $0 + place * stride + field * width }
            if let bag, !data.bag(Int(example), bag).isEmpty {
                let list = data.bag(Int(example), bag)
                let share = 1 / Float(list.count)
                for row in list { add(row, share, gradient, logits[place], number, room) }
            } else {
                add(data.ids[Int(example) * fields + field], 1, gradient, logits[place], number, room)
            }
        }
        room.sums.withUnsafeBufferPointer { sums in
            guard let base = sums.baseAddress else { return }
            for (place, row) in room.rows.enumerated() {
                let at = Int(row) * width
                EmbeddingKernels.adam(
                    values + at, gradients: base + place * width, first: first + at, second: second + at, count: width,
                    step)
            }
        }
        guard hasLinear else { return }
        room.linear.withUnsafeBufferPointer { sums in
            guard let base = sums.baseAddress else { return }
            let rows = layout.tableRows
            for (place, row) in room.rows.enumerated() {
                EmbeddingKernels.adam(
                    linear + Int(row), gradients: base + place, first: linear + rows + Int(row),
                    second: linear + 2 * rows + Int(row), count: 1, linearStep)
            }
        }
    }

    private func add(
        _ row: UInt32, _ share: Float, _ gradient: UnsafePointer<Float>?, _ logit: Float, _ number: UInt32,
        _ room: Room
    ) {
        if stamps[Int(row)] != number {
            stamps[Int(row)] = number
            places[Int(row)] = UInt32(room.rows.count)
            room.rows.append(row)
            room.linear.append(0)
            for _ in 0..<width { room.sums.append(0) }
        }
        let place = Int(places[Int(row)])
        room.linear[place] += share * logit
        guard let gradient else { return }
        room.sums.withUnsafeMutableBufferPointer { sums in
            for at in 0..<width { sums[place * width + at] += share * gradient[at] }
        }
    }
}
