import CWireMessages

/// An item that is to stand at a place of an answer, where it may be shown to the user at all.
public struct Pin: Sendable, Hashable {
    public var item: String
    /// 1 is the first.
    public var place: Int

    public init(item: String, place: Int) {
        self.item = item
        self.place = place
    }
}

extension Pin: ProtoEncodable {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, item)
        sink.field(2, UInt32(clamping: place))
    }
}

/// What re-ranking did to an item.
public struct Placement: Sendable, Hashable {
    /// Among the candidates of the page by score alone, from 1; 0: no source brought it.
    public var placeBefore = 0
    public var isPinned = false
    /// Chance put another item here than the best one.
    public var isExplored = false
    /// What boosts added to its score.
    public var boost: Float = 0
    /// To the most alike of the items that had their places before.
    public var similarity: Float = 0

    public init() {}

    init(_ placement: Martlet__V1__Placement) {
        placeBefore = Int(placement.place_before)
        isPinned = placement.pinned != 0
        isExplored = placement.explored != 0
        boost = placement.boost
        similarity = placement.similarity
    }
}

extension Placement: ProtoEncodable {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, UInt32(clamping: placeBefore))
        sink.field(2, isPinned)
        sink.field(3, isExplored)
        sink.field(4, boost)
        sink.field(5, similarity)
    }
}

/// The pins of a request, valid as long as the request.
package struct PinsView: RandomAccessCollection {
    private let base: UnsafeMutablePointer<UnsafeMutablePointer<Martlet__V1__Pin>?>?
    package let count: Int

    init(
        checking base: UnsafeMutablePointer<UnsafeMutablePointer<Martlet__V1__Pin>?>?, _ count: Int
    ) throws(RequestFault) {
        self.base = base
        self.count = base == nil ? 0 : count
        guard count <= RequestLimits.pinsMax else {
            throw RequestFault("pins has \(count) entries; at most \(RequestLimits.pinsMax) are allowed")
        }
        for (index, pin) in enumerated() {
            try FieldChecks.id(pin.item, "pins.item")
            guard (1...UInt32(RequestLimits.kMax)).contains(pin.place) else {
                throw RequestFault("pins[\(index)].place is \(pin.place); allowed: 1 to \(RequestLimits.kMax)")
            }
            for other in self[..<index] where other.place == pin.place || other.item.elementsEqual(pin.item) {
                throw RequestFault("pins[\(index)] names the place or the item of another pin")
            }
        }
    }

    package var startIndex: Int { 0 }
    package var endIndex: Int { count }

    package subscript(index: Int) -> (item: UnsafeRawBufferPointer, place: UInt32) {
        precondition(index >= 0 && index < count, "pin \(index) of \(count)")
        guard let pin = base?[index]?.pointee else { return (UnsafeRawBufferPointer(start: nil, count: 0), 0) }
        return (pin.item.bytes, pin.place)
    }
}
