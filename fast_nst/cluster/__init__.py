"""Data sets stylized, and many paintings trained, on one machine or a cluster (Ray, extra ``[ray]``)."""
