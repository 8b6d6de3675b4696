import Artifacts

/// Elements in a row, in a mapped file or in memory of their own, and what keeps them alive.
///
/// `Sendable`: the elements are never written after the column is made.
struct Column<Element: BitwiseCopyable>: @unchecked Sendable {
    let values: UnsafeBufferPointer<Element>
    private let owner: any AnyObject & Sendable

    init(_ tensor: Tensor) {
        values = tensor.elements()
        owner = tensor.file
    }

    init(_ elements: [Element]) {
        let copy = ColumnStorage(elements)
        values = copy.values
        owner = copy
    }

    var count: Int { values.count }
    subscript(position: Int) -> Element { values[position] }
}

/// `Sendable`: written once, in `init`.
private final class ColumnStorage<Element: BitwiseCopyable>: @unchecked Sendable {
    let values: UnsafeBufferPointer<Element>

    init(_ elements: [Element]) {
        let copy = UnsafeMutableBufferPointer<Element>.allocate(capacity: elements.count)
        _ = copy.initialize(from: elements)
        values = UnsafeBufferPointer(copy)
    }

    deinit { values.deallocate() }
}
