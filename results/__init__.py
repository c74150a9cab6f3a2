"""From artifacts to what people read: the store, rows, tables, figures, published numbers and the regression check."""
