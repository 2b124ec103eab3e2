"""What may be imported: per kind the table it goes to, its columns and the names they have in files."""

from dataclasses import dataclass, field

from rapport.customers.attributes import BUILT_IN
from rapport.errors import Invalid


@dataclass(frozen=True)
class Field:
    """A column of a table. type is a key of values.RULES; names are those of files, lower-case.

    A value that may be missing takes `default` (SQL); a required one makes the row a reject.
    """

    column: str
    type: str
    names: tuple[str, ...]
    required: bool = False
    default: str = "NULL"
    pii: bool = False


@dataclass(frozen=True)
class Kind:
    """One kind of file. key names the primary key; customer_column is where the CustomerID is."""

    name: str
    table: str
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    customer_column: str = ""
    time_column: str = ""
    extras: str = "properties"
    by_name: dict[str, Field] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        self.by_name.update({name: one for one in self.fields for name in one.names})


def _names(*names: str) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


CUSTOMER_ID = Field("customer_id", "Id", _names("Customer_ID", "CustomerID", "Player_ID", "PlayerID"), required=True)
TRANSACTION_ID = Field(
    "transaction_id",
    "Id",
    _names("Transaction_ID", "TransactionID", "Order_ID", "OrderID", "Bet_ID", "Ticket_ID", "Payment_ID"),
    required=True,
)
TRANSACTION_TIME = Field(
    "transaction_time",
    "Datetime",
    _names(
        "Transaction_Date", "Transaction_Time", "Order_Date", "Order_Time", "Bet_Date", "Payment_Date", "Activity_Date"
    ),
    required=True,
)
PRODUCT_ID = Field("product_id", "Id", _names("Item_ID", "ItemID", "Product_ID", "ProductID", "SKU"), required=True)
REQUIRED_ATTRIBUTES = {"REGISTRATION_DATE"}
NARROWER = {"EMAIL": "Email", "REGISTRATION_DATE": "Day"}


def _attribute_field(name: str, type_: str, pii: bool) -> Field:
    return Field(name, NARROWER.get(name, type_), (name.lower(),), required=name in REQUIRED_ATTRIBUTES, pii=pii)


CUSTOMERS = Kind(
    "customers",
    "customers",
    (CUSTOMER_ID, *(_attribute_field(info.real_field_name, info.field_type, info.is_pii) for info in BUILT_IN)),
    key=("customer_id",),
    customer_column="customer_id",
    extras="attributes",
)
TRANSACTIONS = Kind(
    "transactions",
    "transactions",
    (
        TRANSACTION_ID,
        CUSTOMER_ID,
        TRANSACTION_TIME,
        Field("type", "Text", _names("Type", "Transaction_Type"), default="'order'"),
        Field("amount", "Number", _names("Amount", "Total_Amount", "Amount_In", "Stake", "Bet_Amount"), required=True),
        Field("discount", "Number", _names("Discount", "Discount_Amount"), default="0"),
        Field("status", "Text", _names("Status", "Order_Status"), default="''"),
        Field("platform", "Text", _names("Platform"), default="''"),
        Field("promo_code", "Text", _names("Promo_Code", "PromoCode"), default="''"),
    ),
    key=("transaction_id",),
    customer_column="customer_id",
    time_column="transaction_time",
)
ITEMS = Kind(
    "items",
    "transaction_items",
    (
        TRANSACTION_ID,
        Field("line_number", "Count", _names("Line_No", "Line_Number"), default="toUInt32(_row)"),
        Field("customer_id", "Id", CUSTOMER_ID.names, default="''"),
        Field("transaction_time", "Datetime", TRANSACTION_TIME.names, default="toDateTime(0, 'UTC')"),
        PRODUCT_ID,
        Field("quantity", "Number", _names("Quantity"), default="1"),
        Field("unit_price", "Number", _names("Unit_Price", "Price"), required=True),
        Field("is_return", "Flag", _names("Is_Return"), default="0"),
    ),
    key=("transaction_id", "line_number"),
    customer_column="customer_id",
    time_column="transaction_time",
)
PRODUCTS = Kind(
    "products",
    "products",
    (
        PRODUCT_ID,
        Field("name", "Text", _names("Item_Name", "Product_Name", "Name"), default="''"),
        Field("category", "Text", _names("Category"), default="''"),
        Field("department", "Text", _names("Department"), default="''"),
        Field("brand", "Text", _names("Brand"), default="''"),
        Field("price", "Number", _names("Price")),
        Field("is_active", "Flag", _names("Is_Active"), default="1"),
    ),
    key=("product_id",),
)
ACTIVITY = Kind(
    "activity",
    "activity_events",
    (
        Field("event_id", "Id", _names("Event_ID", "EventID", "Activity_ID"), required=True),
        Field("event_name", "Id", _names("Event_Name", "Event", "Event_Type", "Activity_Name"), required=True),
        CUSTOMER_ID,
        Field(
            "event_at",
            "Instant",
            _names("Event_Date", "Event_Time", "Timestamp", "Activity_Date", "Activity_Time"),
            required=True,
        ),
    ),
    key=("event_id",),
    customer_column="customer_id",
    time_column="event_at",
)
KINDS = {kind.name: kind for kind in (CUSTOMERS, TRANSACTIONS, ITEMS, PRODUCTS, ACTIVITY)}


def kind_of(name: str) -> Kind:
    """The kind of this name. Raises Invalid."""
    if name not in KINDS:
        raise Invalid(f"kind must be one of {', '.join(KINDS)}, not {name!r}.")
    return KINDS[name]
