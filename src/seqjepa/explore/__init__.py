"""A page in the browser on which a world model imagines while an object is turned."""
