import Serving
import Vocabulary
import Wire

/// UpsertItems, DeleteItems and SetAvailability: checks each item, and hands what is sound to the node's item desk.
enum ItemCalls {
    /// - Precondition: `method` is one of the three.
    static func serve(
        _ method: Wire.Method, _ frame: FrameView, _ makeTicket: ((any CallGather)?) -> CallTicket,
        _ connection: ConnectionHandler
    ) throws(RequestFault) {
        let worker = connection.worker
        let read: ItemChangeElements
        switch method {
        case .deleteItems: read = try ItemChangeElements(deletions: frame.body, arena: worker.arena)
        case .setAvailability: read = try ItemChangeElements(windows: frame.body, arena: worker.arena)
        default: read = try ItemChangeElements(upserts: frame.body, arena: worker.arena)
        }
        try worker.node.check(tenant: read.tenant)
        var changes: [(position: Int, change: ItemChange)] = []
        var faults: [ItemFault] = []
        for (position, element) in read.elements.enumerated() {
            if let fault = element.fault {
                faults.append(ItemFault(item: position, status: .invalid, message: fault))
            } else {
                changes.append((position, element.change))
            }
        }
        let ticket = makeTicket(nil)
        guard connection.open(ticket) else { return }
        guard let items = worker.node.items else {
            return worker.refuse(ticket, Rejection(.internalFault, "the node takes no changes of items"))
        }
        items.take(ItemDesk.Call(ticket: ticket, changes: changes, faults: faults))
    }
}
