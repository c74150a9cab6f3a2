"""From artifacts to what people read: the store, rows, tables, export, plots and the regression check."""
